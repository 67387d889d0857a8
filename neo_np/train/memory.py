"""How much memory a run needs, so that absurd sizes are refused at once."""

import math

from neo_np.gpt_neo.checks import check_bytes
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.params import parameter_shapes
from neo_np.train.trainer import TrainingOptions, micro_batch_size

FLOAT, INT = 4, 8  # bytes
ACTIVATIONS = 3  # arrays of the size of the logits, at least: logits, log-probabilities, their derivative


def check_memory(config: Config, options: TrainingOptions) -> None:
    """Raise NeoError if a run surely needs more memory than this machine has."""
    check_bytes(bytes_needed(config, options), "training", "choose smaller sizes for the model or for the batch")


def bytes_needed(config: Config, options: TrainingOptions) -> int:
    """Return a lower bound: parameters, both moments and the gradients of each thread; the batch; the logits of each thread."""
    size = min(micro_batch_size(options), options.batch_size)
    threads = min(options.threads, math.ceil(options.batch_size / size))
    parameters = sum(math.prod(shape) for shape in parameter_shapes(config).values())
    batch = options.batch_size * (options.sequence_length + 1)
    logits = size * options.sequence_length * config.vocab_size
    return FLOAT * parameters * (3 + threads) + INT * batch + FLOAT * ACTIVATIONS * threads * logits

"""The training loop: draw a batch, compute its gradients, clip them, update the parameters; repeat."""

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from neo_np.errors import NeoError
from neo_np.gpt_neo.backward import loss_and_gradients
from neo_np.train.data import random_windows, repeat_passages
from neo_np.train.dropout import Dropout
from neo_np.train.optimizer import AdamW, clip_gradients, learning_rate

MICRO_BATCH_TOKENS = 512  # their activations stay in a processor's cache
SMOOTHING = 0.98  # the smoothed loss looks back over some fifty steps


@dataclass(frozen=True)
class TrainingOptions:
    """What a run is to do; it goes into every checkpoint, so that a run resumes with the same.

    steps: updates in all. batch_size: windows of sequence_length tokens for each update. micro_batch_size: windows computed
    at a time, whose gradients are added up; None takes as many as have 512 tokens together. learning_rate: the highest,
    reached after warmup_steps; min_learning_rate: where the cosine ends. clip: greatest norm of the gradients (0: any). betas:
    AdamW's, weight_decay and decay_embeddings as well. repeated_windows: share of the windows that repeat one short passage
    (see `repeat_passages`). seed: of the batches and of dropout. threads: micro-batches
    computed side by side.
    """

    steps: int
    batch_size: int
    sequence_length: int
    learning_rate: float
    warmup_steps: int
    min_learning_rate: float = 0.0
    micro_batch_size: int | None = None
    clip: float = 1.0
    betas: tuple = (0.9, 0.95)
    weight_decay: float = 0.1
    decay_embeddings: bool = True
    repeated_windows: float = 0.0
    seed: int = 0
    threads: int = 1


# Numbers that overflow are not worth dozens of NumPy's warnings: a loss that is no number says it all.
QUIET = {"over": "ignore", "invalid": "ignore", "divide": "ignore"}


class Interrupted(Exception):
    """Raised by `Trainer.train_step` when it was asked to stop; the step has then changed nothing."""


class Trainer:
    """A model in training: what changes from step to step, and the step itself.

    model: its params change in place. tokens: (N,) token ids. step: updates so far. smoothed_loss: a running mean of the
    loss. rng: draws the batches (and seeds dropout).
    """

    def __init__(self, model, tokens, options):
        self.model, self.tokens, self.options = model, tokens, options
        self.params = model.params.flat()
        self.optimizer = AdamW(
            self.params, options.betas, weight_decay=options.weight_decay, decay_embeddings=options.decay_embeddings
        )
        self.rng = np.random.default_rng(options.seed)
        self.smoothed_loss = 0.0
        self.stop = threading.Event()
        self.pool = ThreadPoolExecutor(options.threads, initializer=lambda: np.seterr(**QUIET))

    @property
    def step(self):
        """How many updates there were."""
        return self.optimizer.step

    @np.errstate(**QUIET)
    def train_step(self):
        """Make one update and return {"step", "loss" (nats), "smoothed_loss", "learning_rate", "norm", "tokens_per_second"}.

        Raises Interrupted when `stop` was set meanwhile, and NeoError for a loss that is no number; neither has changed
        the parameters or the generator.
        """
        began, before, o = time.perf_counter(), self.rng.bit_generator.state, self.options
        try:
            windows = random_windows(self.tokens, o.batch_size, o.sequence_length + 1, self.rng)
            if o.repeated_windows:
                repeat_passages(windows, o.repeated_windows, self.model.config.vocab_size, self.rng)
            loss, gradients = self.batch_gradients(windows)
            norm = clip_gradients(gradients, o.clip or math.inf)
            check_finite(self.step + 1, loss=loss, norm=norm)
        except (Interrupted, NeoError):
            self.rng.bit_generator.state = before
            raise
        rate = learning_rate(self.step + 1, o.steps, o.learning_rate, o.warmup_steps, o.min_learning_rate)
        self.optimizer.update(self.params, gradients, rate)
        self.smoothed_loss += (loss - self.smoothed_loss) * max(1 - SMOOTHING, 1 / self.step)
        return {
            "step": self.step,
            "loss": loss,
            "smoothed_loss": self.smoothed_loss,
            "learning_rate": rate,
            "norm": norm,
            "tokens_per_second": o.batch_size * o.sequence_length / (time.perf_counter() - began),
        }

    @np.errstate(**QUIET)
    def check(self):
        """Raise NeoError where the last update has ruined the parameters, which its own loss could not show."""
        logits = self.model.logits(self.tokens[: self.options.sequence_length].astype(int))
        check_finite(self.step, logits=float(logits.sum()))

    def batch_gradients(self, windows):
        """Return the mean loss of windows (B, T + 1) and its gradients, computed in micro-batches on several threads.

        Gradients of parts of a batch add up to those of the whole. NumPy lets other threads run while it computes, so
        each thread takes its share of the batch: data parallelism. Which thread takes what is fixed, and so is the order of
        all additions: the same batch gives the same result to the last bit.
        """
        o = self.options
        size = o.micro_batch_size or max(1, MICRO_BATCH_TOKENS // o.sequence_length)
        micro_batches = [windows[start : start + size] for start in range(0, len(windows), size)]
        seeds = self.rng.integers(2**63, size=len(micro_batches))
        count = len(windows) * o.sequence_length
        shares = [range(thread, len(micro_batches), o.threads) for thread in range(o.threads)]

        def gradients_of_share(share):
            return sum_up(self._micro_batch_gradients(micro_batches[i], seeds[i], count) for i in share)

        return sum_up(self.pool.map(gradients_of_share, [share for share in shares if share]))

    def _micro_batch_gradients(self, windows, seed, count):
        if self.stop.is_set():
            raise Interrupted
        params, config = self.model.params, self.model.config
        return loss_and_gradients(params, config, windows[:, :-1], windows[:, 1:], Dropout(config, seed), count)


def check_finite(step, **numbers):
    """Raise NeoError where one of the numbers that show how training goes is none."""
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise NeoError(
                f"at step {step} the {name} is {value:.4g}: training has diverged. Start from an earlier checkpoint or anew, "
                "with a lower learning rate or a longer warm-up."
            )


def sum_up(parts):
    """Return the sums of (loss, gradients) over an iterable of them."""
    total_loss, total = 0.0, None
    for loss, gradients in parts:
        total_loss += loss
        if total is None:
            total = gradients
        else:
            for name, g in gradients.items():
                total[name] += g
    return total_loss, total

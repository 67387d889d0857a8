"""The training step: draw a batch, compute its gradients, clip them, update the parameters."""

import math
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from neo_np.errors import NeoError
from neo_np.gpt_neo.backward import loss_and_gradients
from neo_np.model import Model
from neo_np.train.data import random_windows, repeat_passages
from neo_np.train.dropout import Dropout
from neo_np.train.optimizer import AdamW, clip_gradients, learning_rate

MICRO_BATCH_TOKENS = 512  # their activations fit into the processor's cache
SMOOTHING = 0.98  # the smoothed loss is a mean over about fifty steps
LARGEST_FLOAT = sys.float_info.max
# Numbers that overflow give dozens of NumPy's warnings; `check_finite` raises an error with one sentence instead.
QUIET = {"over": "ignore", "invalid": "ignore", "divide": "ignore"}

LossAndGradients = tuple[float, dict[str, np.ndarray]]


@dataclass(frozen=True)
class TrainingOptions:
    """The options of a run. Every checkpoint has them, so a resumed run continues with the same.

    steps: the number of updates. batch_size: windows of sequence_length tokens in each update. learning_rate: the highest
    one, reached after warmup_steps; min_learning_rate: the last one, where the cosine ends. micro_batch_size: windows computed
    at a time, whose gradients are added up; None means 512 tokens. clip: the greatest norm of the gradients, 0 for no limit.
    betas, weight_decay, decay_embeddings: see `AdamW`. repeated_windows: the share of windows that `repeat_passages` changes.
    seed: of the batches and of dropout. threads: micro-batches computed at the same time.
    """

    steps: int
    batch_size: int
    sequence_length: int
    learning_rate: float
    warmup_steps: int
    min_learning_rate: float = 0.0
    micro_batch_size: int | None = None
    clip: float = 1.0
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    decay_embeddings: bool = True
    repeated_windows: float = 0.0
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "sequence_length", "threads"):
            check_whole(name, getattr(self, name), 1)
        check_whole("warmup_steps", self.warmup_steps, 0)
        check_whole("seed", self.seed, 0, most=None)
        if self.micro_batch_size is not None:
            check_whole("micro_batch_size", self.micro_batch_size, 1)
        for name in ("learning_rate", "min_learning_rate", "clip", "weight_decay"):
            check_number(name, getattr(self, name))
        check_number("repeated_windows", self.repeated_windows, below=1)
        if not isinstance(self.betas, list | tuple) or len(self.betas) != 2:
            raise NeoError(f"betas is {self.betas!r:.40}, and it must be two numbers.")
        for beta in self.betas:
            check_number("betas", beta, below=1)
        object.__setattr__(self, "betas", tuple(self.betas))
        if not isinstance(self.decay_embeddings, bool):
            raise NeoError(f"decay_embeddings is {self.decay_embeddings!r:.40}, and it must be true or false.")


def check_whole(name: str, value: object, least: int, most: int | None = 2**31 - 1) -> None:
    """Raise NeoError if an option is not a whole number from `least` to `most`."""
    if type(value) is not int or value < least or (most is not None and value > most):
        limit = "" if most is None else f" to {most:,}"
        raise NeoError(f"{name} is {value!r:.40}, and it must be a whole number from {least}{limit}.")


def check_number(name: str, value: object, below: float = math.inf) -> None:
    """Raise NeoError if an option is not a number of at least 0 and below `below`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < min(below, LARGEST_FLOAT):
        wanted = "a number, 0 or more" if below == math.inf else f"a number from 0 to below {below}"
        raise NeoError(f"{name} is {value!r:.40}, and it must be {wanted}.")


class Interrupted(Exception):
    """Raised by `Trainer.train_step` if it was asked to stop; the step has then changed nothing."""


class Trainer:
    """A model in training: everything that changes from step to step, and the step itself.

    model: its params change in place. tokens: (N,) token ids. smoothed_loss: a running mean of the loss. rng: draws the batches
    and the seeds of dropout. stop: an event; once it is set, `train_step` raises Interrupted.
    """

    def __init__(self, model: Model, tokens: np.ndarray, options: TrainingOptions):
        self.model, self.tokens, self.options = model, tokens, options
        Dropout(model.config, options.seed)  # refuses impossible rates at once
        self.params = model.params.flat()
        self.optimizer = AdamW(
            self.params, options.betas, weight_decay=options.weight_decay, decay_embeddings=options.decay_embeddings
        )
        self.rng = np.random.default_rng(options.seed)
        self.smoothed_loss = 0.0
        self.stop = threading.Event()
        pool = ThreadPoolExecutor(options.threads, initializer=lambda: np.seterr(**QUIET)) if options.threads > 1 else None
        self.map = pool.map if pool else map  # some systems, such as a browser, have no threads

    @property
    def step(self) -> int:
        """The number of updates so far."""
        return self.optimizer.step

    @np.errstate(**QUIET)
    def train_step(self) -> dict[str, float]:
        """Make one update; return {"step", "loss" (nats), "smoothed_loss", "learning_rate", "norm", "tokens_per_second"}.

        "norm" is that of the gradients before clipping. Raises Interrupted if `stop` is set, and NeoError if the loss or the
        gradient norm is NaN or infinite. In both cases parameters and random numbers are as before.
        """
        began, rng_state, o = time.perf_counter(), self.rng.bit_generator.state, self.options
        try:
            loss, gradients = self.batch_gradients(self.draw_windows())
            norm = clip_gradients(gradients, o.clip or math.inf)
            check_finite(self.step + 1, loss=loss, norm=norm)
        except (Interrupted, NeoError):
            self.rng.bit_generator.state = rng_state
            raise
        rate = learning_rate(self.step + 1, o.steps, o.learning_rate, o.warmup_steps, o.min_learning_rate)
        self.optimizer.update(self.params, gradients, rate)
        # Up to step 50, 1 / step makes it the mean of all losses; then old losses count less and less.
        self.smoothed_loss += (loss - self.smoothed_loss) * max(1 - SMOOTHING, 1 / self.step)
        return {
            "step": self.step,
            "loss": loss,
            "smoothed_loss": self.smoothed_loss,
            "learning_rate": rate,
            "norm": norm,
            "tokens_per_second": o.batch_size * o.sequence_length / (time.perf_counter() - began),
        }

    def draw_windows(self) -> np.ndarray:
        """Return the windows of the next batch, (B, T + 1): each token but the last predicts the one after it."""
        o = self.options
        windows = random_windows(self.tokens, o.batch_size, o.sequence_length + 1, self.rng)
        if o.repeated_windows:
            repeat_passages(windows, o.repeated_windows, self.model.config.vocab_size, self.rng)
        return windows

    def batch_gradients(self, windows: np.ndarray) -> LossAndGradients:
        """Return the mean loss of windows (B, T + 1) and its gradients, computed in micro-batches on several threads.

        The gradients of the parts of a batch add up to those of the whole. NumPy lets other threads run while it computes, so
        each thread takes a fixed share of the parts: data parallelism. The order of all additions is fixed too, so the same
        batch and number of threads give the same result to the last bit.
        """
        o = self.options
        size = micro_batch_size(o)
        micro_batches = [windows[start : start + size] for start in range(0, len(windows), size)]
        seeds = self.rng.integers(2**63, size=len(micro_batches))
        count = len(windows) * o.sequence_length

        def gradients_of_share(first: int) -> LossAndGradients:
            share = range(first, len(micro_batches), o.threads)
            return add_up(self.micro_batch_gradients(micro_batches[i], seeds[i], count) for i in share)

        return add_up(self.map(gradients_of_share, range(min(o.threads, len(micro_batches)))))

    def micro_batch_gradients(self, windows: np.ndarray, seed: int, count: int) -> LossAndGradients:
        """Return what windows (B, T + 1) add to the loss and to the gradients of a batch with `count` predictions."""
        if self.stop.is_set():
            raise Interrupted
        params, config = self.model.params, self.model.config
        return loss_and_gradients(params, config, windows[:, :-1], windows[:, 1:], Dropout(config, seed), count)

    @np.errstate(**QUIET)
    def check(self) -> None:
        """Raise NeoError if the last update has ruined the parameters; the loss of that step was computed before the update."""
        logits = self.model.logits(self.tokens[: self.options.sequence_length].astype(int))
        check_finite(self.step, logits=float(logits.sum()))


def micro_batch_size(options: TrainingOptions) -> int:
    """Return the number of windows that a thread computes at a time."""
    return options.micro_batch_size or max(1, MICRO_BATCH_TOKENS // options.sequence_length)


def check_finite(step: int, **numbers: float) -> None:
    """Raise NeoError if one of the numbers is NaN or infinite."""
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise NeoError(
                f"at step {step} the {name} is {value:.4g}: training has diverged. Start from an earlier checkpoint or from "
                "the beginning, with a lower learning rate or a longer warm-up."
            )


def add_up(parts: Iterable[LossAndGradients]) -> LossAndGradients:
    """Return the sum of (loss, gradients) over all parts."""
    parts = iter(parts)
    total_loss, total = next(parts)
    for loss, gradients in parts:
        total_loss += loss
        for name, g in gradients.items():
            total[name] += g
    return total_loss, total

"""What the command notes while it generates: when each token came, and its log-probability by the model."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from neo_np.generate.options import Options
from neo_np.generate.sequence import GeneratedSequence, Step
from neo_np.gpt_neo.loss import log_softmax


class Record:
    """Notes the time of each token, and its log-probability as the model gives it, before any logits processor.

    loading: the seconds that loading the model took. log_probs: {sequence: [log-probability of each new token]}.
    """

    def __init__(self, loading: float):
        self.loading = loading
        self.log_probs: dict[GeneratedSequence, list[float]] = defaultdict(list)
        self.times: list[float] = []
        self.began = self.ended = time.perf_counter()

    def watch(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps unchanged and note what they tell."""
        for step in steps:
            self.times.append(time.perf_counter())
            self.log_probs[step.sequence].append(float(log_softmax(step.logits)[step.token]))
            yield step

    def end(self) -> None:
        """Stop the clock."""
        self.ended = time.perf_counter()

    def seconds(self) -> dict[str, float]:
        """Return the seconds of loading, of prefill (until the first token) and of decoding (from then on)."""
        first = self.times[0] if self.times else self.ended
        parts = {"load": self.loading, "prefill": first - self.began, "decode": self.ended - first}
        return {name: round(value, 4) for name, value in parts.items()}

    def summary(self, prompt_length: int, sequences: Sequence[GeneratedSequence], options: Options) -> str:
        """Return one line with the tokens per second. In beam search there is no first token that divides the time."""
        count, seconds = sum(len(sequence.new_ids) for sequence in sequences), self.seconds()
        if self.times:
            prefill = prompt_length * len(sequences) / max(seconds["prefill"], 1e-9)
            decode = (count - len(sequences)) / max(seconds["decode"], 1e-9)
            parts = [
                f"prefill {prompt_length} tokens, {prefill:.0f} tokens/s",
                f"decode {count} tokens, {decode:.0f} tokens/s",
            ]
        else:
            parts = [f"{count} tokens in {self.ended - self.began:.2f} s (beam search)"]
        if self.loading:
            parts.append(f"load {self.loading:.2f} s")
        if options.do_sample:
            parts.append(f"seed {options.seed}")
        if options.is_speculative:
            accepted, drafted = sum(s.accepted for s in sequences), sum(s.drafted for s in sequences)
            parts.append(f"{accepted} of {drafted} drafted tokens accepted")
        return "; ".join(parts)

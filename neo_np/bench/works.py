"""The table of works: what each measures, in which cases, and the function of every side that can do it."""

from collections.abc import Callable
from dataclasses import dataclass

from neo_np.bench import job, limits, onnx, ours, parts, peers, tokenizers, training

NEO, LIMIT, PLAIN = "neo_np", "limit", "plain"
ALONE = {"": None}  # the cases of a work that has but one

# What must be installed for a peer; and which of them choose their number of threads, for which the best is looked for.
PACKAGES = {
    "transformers": ("transformers", "torch"),
    "torch": ("torch", "transformers"),
    "onnxruntime": ("onnxruntime", "onnx", "onnxscript", "torch", "transformers"),
    "tokenizers": ("tokenizers",),
    "tiktoken": ("tiktoken",),
    "encoder.py": (),
}
THREADED = "transformers", "torch", "onnxruntime"


@dataclass(frozen=True)
class Work:
    """One thing to measure.

    unit: of what is measured; less_is_better: for seconds and megabytes. cases(config): {what a case is called: what
    run(case) gets}. sides: {name: f(job) -> run}. anew: every turn has a process of its own, so that nothing is warm.
    """

    about: str
    unit: str
    cases: Callable
    sides: dict
    less_is_better: bool = False
    anew: bool = False
    needs_weights: bool = True


WORKS = {
    "start": Work(
        about="from the start of a process to the first token written",
        unit="s",
        cases=lambda config: ALONE,
        sides={NEO: ours.start, "transformers": peers.start},
        less_is_better=True,
    ),
    "load": Work(
        about="from the weights on disk to the first logits, in a new process after imports and tokenizer",
        unit="s",
        cases=lambda config: ALONE,
        sides={NEO: ours.load, "transformers": peers.load},
        less_is_better=True,
        anew=True,
    ),
    "prefill": Work(
        about="reading a prompt into a cache, with the logits of its last position",
        unit="tokens/s",
        cases=job.prefill_cases,
        sides={NEO: ours.prefill, "transformers": peers.prefill, "onnxruntime": onnx.prefill, LIMIT: limits.prefill},
    ),
    "decode": Work(
        about="one token after the other in each row, after a context",
        unit="tokens/s",
        cases=job.decode_cases,
        sides={NEO: ours.decode, "transformers": peers.decode, "onnxruntime": onnx.decode, LIMIT: limits.decode},
    ),
    "batch": Work(
        about="prompts of different lengths, continued greedily by generate",
        unit="tokens/s",
        cases=job.batch_cases,
        sides={NEO: ours.batch, "transformers": peers.batch},
    ),
    "speculative": Work(
        about="a given text written with guesses looked up in it, eight at a time, and without (plain)",
        unit="tokens/s",
        cases=job.speculative_cases,
        sides={NEO: ours.speculative, PLAIN: ours.plain},
    ),
    "memory": Work(
        about="the most memory that a new process holds: weights loaded, a long prompt, then some tokens",
        unit="MB",
        cases=job.memory_cases,
        sides={NEO: ours.memory, "transformers": peers.memory},
        less_is_better=True,
        anew=True,
    ),
    "tokenizer": Work(
        about="text to ids by a new tokenizer (cold), by one that has met the text (warm), and back",
        unit="MB/s",
        cases=lambda config: {case: case for case in tokenizers.CASES},
        sides={
            NEO: tokenizers.side(tokenizers.ours),
            "tokenizers": tokenizers.side(tokenizers.hugging_face),
            "tiktoken": tokenizers.side(tokenizers.tiktoken),
            "encoder.py": tokenizers.side(tokenizers.encoder_py),
        },
        needs_weights=False,
    ),
    "parts": Work(
        about="where the time of a prompt goes, and that of a token after a context",
        unit="ms",
        cases=parts.cases,
        sides={NEO: parts.parts},
        less_is_better=True,
    ),
    "growth": Work(
        about="a decoded token, and a prefill, as the text grows: with layers all local, all global",
        unit="ms",
        cases=job.growth_cases,
        sides={NEO: ours.growth},
        less_is_better=True,
    ),
    "train": Work(
        about="training steps of a model of its own with random weights",
        unit="tokens/s",
        cases=lambda config: ALONE,
        sides={NEO: training.train, "torch": training.torch_train},
        needs_weights=False,
    ),
}

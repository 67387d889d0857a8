"""The cases of each benchmark: {label: case}. `run(case)` of a backend measures one of them."""

from typing import NamedTuple

from neo_np.bench.job import DECODE_STEPS, PROMPT, Job, decode_steps
from neo_np.gpt_neo.config import Config

CHUNK = 256  # tokens at a time that fill a cache before the clock starts


class Tokens(NamedTuple):
    """The tokens of one call: `read` many at a time, `written` one after the other, and those read once before all calls."""

    read: int = 0
    written: int = 0
    before: int = 0


def one_case(config: Config | None) -> dict:
    """Return the only case of a benchmark that has no others."""
    return {"": None}


def first_token(job: Job, case: None) -> Tokens:
    """Return the tokens of a call of start or load: the prompt."""
    return Tokens(read=len(PROMPT.split()), written=1)


def prefill_cases(config: Config) -> dict[str, int]:
    """Return prompt lengths: 8, 512 and 2048 tokens if they fit, and all positions of a smaller model."""
    positions = config.max_position_embeddings
    lengths = {n for n in (8, 512, 2048) if n <= positions} | {min(positions, 2048)}
    return {f"{n} tokens": n for n in sorted(lengths)}


def prefill_tokens(job: Job, case: int) -> Tokens:
    """Return the tokens of a call."""
    return Tokens(read=case)


def decode_cases(config: Config) -> dict[str, tuple[int, int]]:
    """Return (batch, context): after a few tokens, and after three quarters of all positions up to 2048."""
    positions = min(config.max_position_embeddings, 2048)
    contexts = min(8, positions // 4), positions * 3 // 4
    return {f"batch {batch} after {n} tokens": (batch, n) for batch in (1, 8) for n in contexts}


def decode_tokens(job: Job, case: tuple[int, int]) -> Tokens:
    """Return the tokens of a call."""
    batch, context = case
    return Tokens(written=decode_steps(job.config, context), before=batch * context)


def batch_cases(config: Config) -> dict[str, int]:
    """Return the number of prompts."""
    return {"1 prompt": 1, "8 prompts": 8}


def batch_tokens(job: Job, case: int) -> Tokens:
    """Return the tokens of a call."""
    prompts, new_tokens = job.prompts(case)
    return Tokens(read=sum(map(len, prompts)), written=new_tokens)


def speculative_cases(config: Config) -> dict[str, bool]:
    """Return whether the text repeats its first tokens over and over."""
    return {"text that repeats itself": True, "ordinary text": False}


def speculative_tokens(job: Job, case: bool) -> Tokens:
    """Return the tokens of a call."""
    return Tokens(*job.speculative_sizes())


def memory_cases(config: Config) -> dict[str, int]:
    """Return the length of the prompt: as long as some tokens after it still have positions, up to 2048 in all."""
    length = min(config.max_position_embeddings, 2048) - min(DECODE_STEPS, config.max_position_embeddings // 2)
    return {f"prefill {length}, decode {decode_steps(config, length)}": length}


def memory_tokens(job: Job, case: int) -> Tokens:
    """Return the tokens of a call."""
    return Tokens(read=case, written=decode_steps(job.config, case))


def parts_cases(config: Config) -> dict[str, tuple[str, int]]:
    """Return ("prefill" or "decode", tokens): a prompt of 512 tokens, and one token after the contexts of decode."""
    prompt = min(512, config.max_position_embeddings)
    contexts = [context for batch, context in decode_cases(config).values() if batch == 1]
    return {f"prompt of {prompt} tokens": ("prefill", prompt)} | {f"after {n} tokens": ("decode", n) for n in contexts}


def parts_tokens(job: Job, case: tuple[str, int]) -> Tokens:
    """Return the tokens of a call."""
    kind, tokens = case
    return prefill_tokens(job, tokens) if kind == "prefill" else decode_tokens(job, (1, tokens))


def growth_cases(config: Config) -> dict[str, tuple[str, str, int]]:
    """Return ("decode" or "prefill", kind of attention, tokens): three curves of eight lengths, up to all positions."""
    positions = min(config.max_position_embeddings, 2048)
    steps = min(DECODE_STEPS, positions // 8)
    cases = [
        (benchmark, kind, positions * eighth // 8 - (steps if benchmark == "decode" else 0))
        for benchmark, kind in [("decode", "local"), ("decode", "global"), ("prefill", "local")]
        for eighth in range(1, 9)
    ]
    return {f"{benchmark} {kind}, {n} tokens": (benchmark, kind, n) for benchmark, kind, n in cases}


def growth_tokens(job: Job, case: tuple[str, str, int]) -> Tokens:
    """Return the tokens of a call. The context of decode is not counted: the cache of the case before has most of it."""
    benchmark, _, tokens = case
    return Tokens(read=tokens) if benchmark == "prefill" else Tokens(written=decode_steps(job.config, tokens))


def tokenizer_cases(config: None) -> dict[str, str]:
    """Return what the tokenizer does: encode as a new tokenizer, encode a text that it has met before, or decode."""
    return {case: case for case in ("encode, cold", "encode, warm", "decode")}


def no_tokens(job: Job, case: str) -> Tokens:
    """Return that the model is not used."""
    return Tokens()


def train_tokens(job: Job, case: None) -> Tokens:
    """Return the tokens of a call: forward and backward pass cost three times the forward pass."""
    return Tokens(read=3 * job.train["steps"] * job.train["batch_size"] * job.train["sequence_length"])

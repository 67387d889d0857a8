"""The generation loop: feed the model, apply the rules, choose a token, look whether the text has ended; repeat.

`python -m neo_np.generate` is the command, in `neo_np/command.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from neo_np import sampling
from neo_np.errors import NeoError
from neo_np.options import read_options


@dataclass
class Sequence:
    """One text in the making.

    ids: the prompt's token ids and the new ones. longest: how many they may become. rules: f(logits, ids) -> logits.
    rng: None for greedy choice. text: its bytes, special tokens left out, where stop strings are looked for; from_stop:
    how many of them stand from the beginning of a stop string on, once one is complete. log_probs: the model's own
    log-probability of each new token, where somebody notes them down. guessed, accepted: how many tokens were guessed in
    speculative decoding, and how many of those stood.
    """

    ids: list
    prompt_length: int
    longest: int
    rules: list
    rng: np.random.Generator | None = None
    finished: bool = False
    text: bytes = b""
    from_stop: int = 0
    log_probs: list = field(default_factory=list)
    guessed: int = 0
    accepted: int = 0

    @property
    def new_ids(self):
        """The ids that were generated."""
        return self.ids[self.prompt_length :]


@dataclass
class Step:
    """One token of one sequence: the model's own logits (V,), those after the rules, and the token chosen."""

    sequence: Sequence
    logits: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    token: int


def generate(model, prompt, **options):
    """Continue a prompt and return it with what was written.

    prompt: a text, or token ids; or a list of either. options: see `neo_np.options.Options`.
    Returns a text for a text and a list of ids for ids; a flat list of them for a list of prompts, or where
    num_return_sequences is above 1 (those of one prompt stand together). Special tokens are left out of new text.
    An empty prompt starts from bos_token_id. Row i draws from its own random numbers, made from (seed, i).
    Raises NeoError for prompts and options that make no sense.
    """
    prompts, single = read_prompts(model, prompt)
    options = read_options(options, model.generation_config, model.config)
    sequences = finished_sequences(model, [ids for _, ids in prompts], options)
    texts = [text for text, _ in prompts for _ in range(options.num_return_sequences)]
    results = [
        list(s.ids) if text is None else text + new_text(model.tokenizer, s, options) for text, s in zip(texts, sequences)
    ]
    return results[0] if single and options.num_return_sequences == 1 else results


def stream(model, prompt, **options):
    """Yield the prompt, then what is written to it, in pieces that end between characters.

    The pieces joined are what `generate` returns. One sequence alone: no lists, no beams.
    """
    prompts, single = read_prompts(model, prompt)
    options = read_options(options, model.generation_config, model.config)
    text, ids = prompts[0]
    if not single or text is None:
        raise NeoError("stream wants one text as prompt: for lists and for token ids use generate.")
    if options.num_beams > 1 or options.num_return_sequences > 1:
        raise NeoError("stream follows one sequence: beams and several return sequences are for generate.")
    steps = generate_steps(model, start_sequences(model, [ids], options, 1), options)
    return pieces(model.tokenizer, text, steps, options)


def read_prompts(model, prompt):
    """Return ([(text or None, ids), ...], whether it was a single prompt)."""
    if isinstance(prompt, np.ndarray):
        prompt = prompt.tolist()
    single = isinstance(prompt, str) or is_row_of_ids(prompt)
    prompts = [prompt] if single else prompt
    if not isinstance(prompts, list | tuple) or len(prompts) == 0:
        raise NeoError(f"the prompt must be a text, token ids, or a list of either that is not empty; got {prompt!r:.60}.")
    return [read_prompt(model, one) for one in prompts], single


def is_row_of_ids(prompt):
    """Return whether this is one sequence of token ids, rather than a text or several sequences."""
    if isinstance(prompt, np.ndarray):
        return prompt.ndim == 1 and prompt.dtype.kind in "iu"
    return isinstance(prompt, list | tuple) and len(prompt) > 0 and all(isinstance(id, Integral) for id in prompt)


def read_prompt(model, prompt):
    """Return (text or None, ids) for one prompt."""
    if isinstance(prompt, str):
        if model.tokenizer is None:
            raise NeoError("this model has no tokenizer, so prompts must be token ids; or load it with tokenizer=FOLDER.")
        ids = model.tokenizer.encode(prompt)
        if not ids and model.config.bos_token_id is None:
            raise NeoError("the prompt is empty and the model has no bos_token_id to begin with.")
        return prompt, ids or [model.config.bos_token_id]
    if not is_row_of_ids(prompt):
        raise NeoError(f"each prompt must be a text or a list of token ids; got {prompt!r:.60}.")
    model.check_ids(prompt)
    return None, [int(id) for id in prompt]


def start_sequences(model, prompts, options, copies):
    """Return so many `Sequence`s for each prompt's ids, nothing written to them yet."""
    if options.stops and model.tokenizer is None:
        raise NeoError("stop_strings are looked for in text, and this model has no tokenizer.")
    options.check_assistant(model)
    without_token = ids_without_token(model)
    seed = np.random.SeedSequence(options.seed).entropy  # a fresh one where options.seed is None
    sequences = []
    for ids in prompts:
        shortest, longest = options.limits(len(ids), model.config.max_position_embeddings)
        rules = sampling.rules(options, shortest, without_token)
        text = model.tokenizer.decode_bytes(ids, skip_special_tokens=True) if options.stops else b""
        for _ in range(copies):
            rng = np.random.default_rng([seed, len(sequences)]) if options.do_sample else None
            sequences.append(Sequence(list(ids), len(ids), longest, rules, rng, text=text))
    return sequences


def ids_without_token(model):
    """Return the ids of a padded vocabulary for which the tokenizer has no token."""
    if model.tokenizer is None or len(model.tokenizer) == model.config.vocab_size:
        return []
    return [id for id in range(model.config.vocab_size) if id not in model.tokenizer.id_to_token]


def finished_sequences(model, prompts, options):
    """Return the sequences for these prompts' ids, written to their ends; those of one prompt stand together."""
    if options.num_beams > 1:
        from neo_np.beam_search import beam_search  # which is built on this file

        return [best for start in start_sequences(model, prompts, options, 1) for best in beam_search(model, start, options)]
    sequences = start_sequences(model, prompts, options, options.num_return_sequences)
    for _ in generate_steps(model, sequences, options):
        pass
    return sequences


def generate_steps(model, sequences, options) -> Iterator[Step]:
    """Write all sequences to their ends, side by side, and yield each `Step` when its token has been chosen."""
    if options.is_speculative:
        from neo_np.speculative import speculative_steps  # which is built on this file

        for sequence in sequences:  # each goes on from a different place, where its guesses ended
            yield from speculative_steps(model, sequence, options)
        return
    longest, positions = max(s.longest for s in sequences), model.config.max_position_embeddings
    if longest > positions and len(sequences) > 1:
        # A full cache slides all its rows, and each row is to slide at its own length: so they are written one by one.
        for sequence in sequences:
            yield from generate_steps(model, [sequence], options)
        return
    capacity = min(longest, positions)
    running, cache = list(sequences), model.new_cache(len(sequences), capacity)
    while running:
        logits = next_logits(model, [s.ids for s in running], cache)  # (B, V)
        for sequence, row in zip(running, logits):
            scores = sampling.apply_rules(row, sequence.ids, sequence.rules)
            token = sampling.choose(scores, sequence.rng)
            sequence.ids.append(token)
            update_finished(model.tokenizer, sequence, options)
            yield Step(sequence, row, scores, token)
        going_on = [i for i, s in enumerate(running) if not s.finished]
        if len(going_on) < len(running):
            running = [running[i] for i in going_on]
            cache.reorder(going_on)


def next_logits(model, rows, cache):
    """Return the logits (B, V) of what follows each row of ids, giving the model only what the cache has not seen."""
    batch, mask = pad_left(unseen(rows, cache))
    return model.logits(batch, mask=mask, cache=cache, logits_to_keep=1)[:, -1]


def unseen(rows, cache):
    """Return what of each row of ids the cache has not seen.

    When the cache is full, the rows slide: it is emptied and takes in the last half of what would fit. Positions
    count from the first token that is left, so nothing of the old cache could be kept.
    """
    if 0 < cache.length < cache.capacity:
        return [ids[-1:] for ids in rows]
    longest = max(map(len, rows))
    kept = longest if longest <= cache.capacity else max(1, cache.capacity // 2)
    cache.crop(0)
    return [ids[-kept:] for ids in rows]


def pad_left(rows):
    """Return rows of ids as one array (B, T), shorter ones filled up on the left, and the mask that says where (or None)."""
    longest = max(map(len, rows))
    batch = np.array([[0] * (longest - len(ids)) + list(ids) for ids in rows])
    mask = np.array([[0] * (longest - len(ids)) + [1] * len(ids) for ids in rows])
    return batch, None if mask.all() else mask


def update_finished(tokenizer, sequence, options):
    """Note in a sequence whether its newest token ended it: by its id, a stop string or the length."""
    if options.stops:
        newest = tokenizer.decode_bytes(sequence.ids[-1:], skip_special_tokens=True)
        sequence.text += newest
        sequence.from_stop = bytes_from_stop(sequence.text, len(newest), options.stops)
    sequence.finished = sequence.from_stop > 0 or sequence.ids[-1] in options.eos_ids or len(sequence.ids) >= sequence.longest


def bytes_from_stop(text, newest, stops):
    """Return how many bytes of a text stand from the first byte of a stop string on, or 0.

    Bytes do not care where tokens begin: with the stop string "end", the tokens "the e", "nd." have 4, "end.". It is only
    looked for where it would end in the last token, the `newest` bytes.
    """
    found = [0]
    for stop in (stop.encode("utf-8") for stop in stops):
        begin = text.find(stop, max(0, len(text) - newest - len(stop) + 1))
        if begin >= 0:
            found.append(len(text) - begin)
    return max(found)


def new_text(tokenizer, sequence, options):
    """Return the text of what was generated, without the stop string if it is to be cut."""
    written = tokenizer.decode_bytes(sequence.new_ids, skip_special_tokens=True)
    if options.cut_stop_string:
        written = written[: max(0, len(written) - sequence.from_stop)]
    return written.decode("utf-8", "replace")


def pieces(tokenizer, prompt, steps, options):
    """Yield the prompt and then the text of the steps of one sequence, as soon as it is certain.

    Bytes that may yet turn out to be the beginning of a stop string that is to be cut are held back.
    """
    if prompt:
        yield prompt
    decoder = tokenizer.stream_decoder()
    stops = [stop.encode("utf-8") for stop in options.stops] if options.cut_stop_string else []
    held = b""
    for step in steps:
        held += tokenizer.decode_bytes([step.token], skip_special_tokens=True)
        if stops:
            held = held[: max(0, len(held) - step.sequence.from_stop)]
        uncertain = 0 if step.sequence.finished else begun(step.sequence.text, stops)
        certain = max(0, len(held) - uncertain)
        if text := decoder.push_bytes(held[:certain]):
            yield text
        held = held[certain:]
    if text := decoder.flush():
        yield text


def begun(data, stops):
    """Return the length of the longest end of data that is the beginning of a stop string: b"the e", [b"end"] -> 1."""
    lengths = (n for stop in stops for n in range(min(len(stop), len(data)), 0, -1) if data.endswith(stop[:n]))
    return max(lengths, default=0)


if __name__ == "__main__":
    import sys

    from neo_np.command import main

    sys.exit(main())

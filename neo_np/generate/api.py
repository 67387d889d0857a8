"""The generation loop: feed the model, apply the rules, choose a token, look whether the text has ended; repeat.

`python -m neo_np.generate` is the command, in `neo_np/command.py`.
"""

from neo_np.errors import NeoError
from neo_np.generate.beam_search import beam_search
from neo_np.generate.loop import loop_steps
from neo_np.generate.options import read_options
from neo_np.generate.prompts import read_prompts
from neo_np.generate.sequence import start_sequences
from neo_np.generate.speculative import speculative_steps
from neo_np.generate.stop_strings import new_text, pieces


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


def finished_sequences(model, prompts, options):
    """Return the sequences for these prompts' ids, written to their ends; those of one prompt stand together."""
    if options.num_beams > 1:
        return [best for start in start_sequences(model, prompts, options, 1) for best in beam_search(model, start, options)]
    sequences = start_sequences(model, prompts, options, options.num_return_sequences)
    for _ in generate_steps(model, sequences, options):
        pass
    return sequences


def generate_steps(model, sequences, options):
    """Write all sequences to their ends, side by side, and yield each `Step` when its token has been chosen."""
    longest, positions = max(s.longest for s in sequences), model.config.max_position_embeddings
    if options.is_speculative:
        for sequence in sequences:  # each goes on from a different place, where its guesses ended
            yield from speculative_steps(model, sequence, options)
    elif longest > positions and len(sequences) > 1:
        # A full cache slides all its rows, and each row is to slide at its own length: so they are written one by one.
        for sequence in sequences:
            yield from loop_steps(model, [sequence], options)
    else:
        yield from loop_steps(model, sequences, options)

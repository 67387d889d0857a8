"""`generate` and `stream`: read prompts and options, choose how to decode, return text or ids."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from neo_np.errors import NeoError
from neo_np.generate.beam_search import beam_search
from neo_np.generate.language_model import LanguageModel
from neo_np.generate.loop import generation_loop
from neo_np.generate.options import Options, read_options
from neo_np.generate.prompts import Prompt, read_prompts
from neo_np.generate.sequence import GeneratedSequence, Step, start_sequences
from neo_np.generate.speculative import speculative_loop


def generate(model: LanguageModel, prompt: Any = None, **options: Any) -> Any:
    """Continue a prompt and return it with the new text.

    prompt: a text or token ids, or a list of either. options: see `neo_np.Options`.
    Returns a text for a text and a list of ids for ids. For a list of prompts, or with num_return_sequences above 1, it
    returns a flat list of them, in which the results of one prompt follow each other. Special tokens are left out of the
    new text. An empty prompt starts from bos_token_id. Raises NeoError for prompts and options that make no sense.
    """
    settings = read_options(options, model.generation_config, model.config)
    prompts, single = read_prompts(model, prompt, settings.bos_token_id)
    sequences = finished_sequences(model, prompts, settings)
    results = [list(s.ids) if s.prompt.text is None else s.prompt.text + s.text for s in sequences]
    return results[0] if single and settings.num_return_sequences == 1 else results


def stream(model: LanguageModel, prompt: Any = None, **options: Any) -> Iterator[str]:
    """Yield the prompt, then the new text in pieces that end between characters. Joined, they are what `generate` returns.

    It follows one sequence: no lists, no beams. The options are checked at once, before the first piece is asked for.
    """
    settings = read_options(options, model.generation_config, model.config)
    prompts, single = read_prompts(model, prompt, settings.bos_token_id)
    if not single or prompts[0].text is None:
        raise NeoError("stream takes one text as prompt: for lists and for token ids use generate.")
    if settings.num_beams > 1 or settings.num_return_sequences > 1:
        raise NeoError("stream follows one sequence: for beams and for several return sequences use generate.")
    return text_pieces(prompts[0], generate_steps(model, start_sequences(model, prompts, settings, 1), settings))


def text_pieces(prompt: Prompt, steps: Iterator[Step]) -> Iterator[str]:
    """Yield the prompt, then the text of each step of one sequence."""
    if prompt.text:
        yield prompt.text
    for step in steps:
        if step.text:
            yield step.text


def finished_sequences(
    model: LanguageModel, prompts: Sequence[Prompt], options: Options, progress: Callable[[int, int], None] | None = None
) -> list[GeneratedSequence]:
    """Generate the sequences of these prompts to their ends; those of one prompt follow each other in the list.

    progress: a function (done, total), in new tokens, called after each step of a beam search.
    """
    if options.num_beams > 1:
        starts = start_sequences(model, prompts, options, 1)
        return [best for start in starts for best in beam_search(model, start, options, progress)]
    sequences = start_sequences(model, prompts, options, options.num_return_sequences)
    for _ in generate_steps(model, sequences, options):
        pass
    return sequences


def generate_steps(model: LanguageModel, sequences: Sequence[GeneratedSequence], options: Options) -> Iterator[Step]:
    """Generate all sequences to their ends, and yield each new token as a `Step`.

    If possible, they run side by side in one batch. But in speculative decoding, each accepts a different number of tokens,
    and beyond the model's last position, each must slide at its own length: then they run one after the other.
    """
    slides = max(sequence.max_length for sequence in sequences) > model.config.max_position_embeddings
    if options.is_speculative:
        for sequence in sequences:
            yield from speculative_loop(model, sequence, options)
    elif slides:
        for sequence in sequences:
            yield from generation_loop(model, [sequence])
    else:
        yield from generation_loop(model, sequences)

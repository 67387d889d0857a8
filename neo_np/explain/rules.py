"""What each logits processor does, in words: the rules that the panel of the choice explains."""

from collections.abc import Sequence

from neo_np.explain.choices import function_and_arguments, processor_name
from neo_np.generate.logits_processors import LogitsProcessor, apply_users_processor

# By the name of the function; {names} are its arguments.
MEANINGS = {
    "sequence_bias": "a number is added to the logit of each token that would complete a given sequence",
    "repetition_penalty": "tokens that are in the text already become less likely (above 1) or likelier (below 1)",
    "encoder_repetition_penalty": "tokens of the prompt become likelier (above 1) or less likely (below 1)",
    "no_repeat_ngram": "a token that would repeat a run of {size} tokens is removed",
    "bad_words": "a token that would complete a forbidden word is removed",
    "min_length": "while the text has fewer than {length} tokens, no token may end it",
    "forced_tokens": "when the text has {length} tokens, only the forced tokens stay",
    "exponential_decay_length_penalty": "beyond {start} tokens, an end becomes likelier with every token",
    "suppress_tokens": "forbidden tokens are removed",
    "top_k": "only the {k} likeliest tokens stay, and those as likely as the last of them",
    "top_p": "the likeliest tokens stay, one after the other, until their probabilities add up to {p:.4g}",
    "min_p": "the tokens stay that have at least {p:.4g} times the probability of the likeliest",
    "typical_p": "the tokens stay whose surprise is nearest to the expected one, until their probabilities add up to {p:.4g}",
    "top_h": "the likeliest tokens stay while their share of the entropy is at most {h:.4g}",
    "epsilon_cutoff": "the tokens stay that have at least the probability {epsilon:.4g}",
    "eta_cutoff": "the tokens stay whose probability reaches a bound of at most {epsilon:.4g}, lower if the entropy is high",
    "renormalize": "logits become log-probabilities; the probabilities do not change",
}
OWN = "a function of your own"
COOL, WARM = "below 1, likely tokens gain and the others lose", "above 1, unlikely tokens gain and the others lose"


def column_rules(processors: Sequence[LogitsProcessor], without_token: Sequence[int] = ()) -> list[str]:
    """Return what the rule of each of the P columns does; "" for the model's own. Columns are as in `column_names`."""
    rules = [f"{processor_name(processor)}: {meaning(processor)}." for processor in processors]
    first = "Ids without a token: the vocabulary is padded, and these ids are removed."
    return ["", *([first, *rules[1:]] if without_token else rules)]


def meaning(processor: LogitsProcessor) -> str:
    """Return what a logits processor does, in words."""
    function, arguments = function_and_arguments(processor)
    if function is apply_users_processor:
        return OWN
    if function.__name__ == "temperature":
        return COOL if arguments["value"] < 1 else WARM
    return MEANINGS[function.__name__].format(**arguments)

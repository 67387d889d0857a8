"""An adapter through which lm-evaluation-harness runs a model of ours on any of its tasks.

>>> import lm_eval, neo_np
>>> from neo_np.evaluate.harness import harness_model
>>> lm_eval.simple_evaluate(model=harness_model(neo_np.load()), tasks=["lambada_openai", "wikitext"])["results"]

lm_eval is not needed for anything else, so it is imported only when the adapter is made: pip install lm_eval.
"""

from neo_np.errors import NeoError
from neo_np.evaluate.likelihood import BATCH_SIZE, begin_token, continuation_row, log_likelihoods, model_tokenizer
from neo_np.evaluate.text import text_windows
from neo_np.terminal import progress_bar

NEW_TOKENS = 256  # where a task does not say how many, as with the harness's own models
NAMES_OF_LENGTH = "max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"


def harness_model(model, batch_size=BATCH_SIZE):
    """Return a model as an `lm_eval.api.model.LM`; raises NeoError where lm_eval is not installed."""
    try:
        from lm_eval.api.model import LM
    except ImportError:
        raise NeoError("lm_eval is not installed: pip install lm_eval.") from None

    class NeoLM(LM):
        """What the harness asks for; each request carries the arguments of its kind in `args`."""

        def loglikelihood(self, requests):
            """Return (log-likelihood, greedy) for each (context, continuation)."""
            rows = [continuation_row(model, *request.args) for request in requests]
            with progress_bar("log-likelihoods") as progress:
                return log_likelihoods(model, rows, batch_size, progress)

        def loglikelihood_rolling(self, requests):
            """Return the log-likelihood of each text, in windows of all the model's positions laid end to end."""
            texts = [whole_text_rows(model, *request.args) for request in requests]  # a list of rows for each
            with progress_bar("log-likelihoods of texts") as progress:
                results = iter(log_likelihoods(model, [row for rows in texts for row in rows], batch_size, progress))
            return [sum(next(results)[0] for _ in rows) for rows in texts]

        def generate_until(self, requests):
            """Return what the model writes after each (context, options), up to the first stop text."""
            return [continue_until(model, *request.args) for request in requests]

    return NeoLM()


def whole_text_rows(model, text):
    """Return the rows that predict every token of a text once, the first from the `begin_token`."""
    if begin_token(model) is None:
        raise NeoError("the harness scores every token of a text, and this model has no bos_token_id to begin with.")
    ids = [begin_token(model), *model_tokenizer(model).encode(text, add_special_tokens=False)]
    positions = model.config.max_position_embeddings
    return text_windows(ids, window=positions, stride=positions)


def continue_until(model, context, options):
    """Return what the model writes after a context, without the stop text that ended it.

    options: `until` (a text or a list of them), a length under one of NAMES_OF_LENGTH, `do_sample`, `temperature` and other
    options of `generate`. A context that is too long loses its beginning, so that there is room to write.
    """
    tokenizer, options = model_tokenizer(model), dict(options)
    until = options.pop("until", None) or []
    until = [stop for stop in ([until] if isinstance(until, str) else until) if stop]
    lengths = [options.pop(name, None) for name in NAMES_OF_LENGTH]
    new_tokens = next((length for length in lengths if length is not None), NEW_TOKENS)
    room = model.config.max_position_embeddings - new_tokens
    if room < 1:
        positions = room + new_tokens
        raise NeoError(f"the task wants {new_tokens} new tokens, and the model has {positions} positions: set max_gen_toks.")
    temperature = options.pop("temperature", None) or 0.0
    options["do_sample"] = options.get("do_sample", temperature > 0)
    if options["do_sample"]:
        options["temperature"] = temperature or 1.0
    prompt = tokenizer.encode(context, add_special_tokens=False)[-room:] or [begin_token(model)]
    ids = model.generate(prompt, max_new_tokens=new_tokens, stop_strings=until or None, **options)
    text = tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)
    return text[: min((place for stop in until if (place := text.find(stop)) >= 0), default=len(text))]

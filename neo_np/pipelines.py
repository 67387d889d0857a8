"""The familiar call of transformers: `pipeline("text-generation", model=...)`."""

from neo_np.checkpoint.loading import load
from neo_np.errors import NeoError
from neo_np.generate.options import without_none
from neo_np.model import Model

DEFAULT_NEW_TOKENS, DEFAULT_TEMPERATURE = 256, 0.7


def pipeline(task, model=None, tokenizer=None):
    """Return a function of one text or a list of texts that does a task.

    task: "text-generation" or "feature-extraction". model, tokenizer: as in `load`, or a `Model`.

    >>> generator = pipeline("text-generation", model="EleutherAI/gpt-neo-125M")
    >>> generator("EleutherAI has", do_sample=True, min_length=20)
    [{'generated_text': 'EleutherAI has ...'}]
    """
    if not isinstance(task, str) or task not in TASKS:
        raise NeoError(f"unknown task {task!r}: there are {' and '.join(TASKS)}.")
    if not isinstance(model, Model):
        model = load(model, tokenizer)
    elif tokenizer is not None:
        raise NeoError("this model is loaded already and brings its tokenizer: leave tokenizer out.")
    if model.tokenizer is None:
        raise NeoError("a pipeline reads text, and this model has no tokenizer: load it with tokenizer=FOLDER.")
    return TASKS[task](model)


class TextGeneration:
    """Continues texts; the result has the form of transformers' text-generation pipeline."""

    def __init__(self, model):
        self.model = model

    def __call__(self, texts, return_full_text=True, **options):
        """Return [{"generated_text": ...}, ...] for one text, and a list of such lists for a list of texts.

        return_full_text: False leaves the prompt out. options: those of `generate`, with the pipeline's defaults: do_sample
        True, temperature 0.7 and max_new_tokens 256 (or what fits the model), where neither the call nor the
        checkpoint's generation_config.json sets them.
        """
        check_texts(texts)
        prompts = [texts] if isinstance(texts, str) else texts
        continued = self.model.generate(prompts, **self._with_defaults(options))
        times = len(continued) // len(prompts)
        results = [
            [
                {"generated_text": text if return_full_text else text[len(prompt) :]}
                for text in continued[i * times : (i + 1) * times]
            ]
            for i, prompt in enumerate(prompts)
        ]
        return results[0] if isinstance(texts, str) else results

    def _with_defaults(self, options):
        """Return the options of a call with the pipeline's defaults where neither it nor the checkpoint has its own."""
        given = without_none(options)
        already = without_none(self.model.generation_config) | given
        defaults = {"default_new_tokens": DEFAULT_NEW_TOKENS, "do_sample": True}
        if already.get("do_sample", True):
            defaults["temperature"] = DEFAULT_TEMPERATURE
        return {name: value for name, value in defaults.items() if name not in already} | given


class FeatureExtraction:
    """Turns texts into the hidden states after the last layer norm."""

    def __init__(self, model):
        self.model = model

    def __call__(self, texts, return_tensors=False):
        """Return nested lists (1, T, C) for one text and a list of them for a list; arrays with return_tensors=True."""
        check_texts(texts)
        if not isinstance(texts, str):
            return [self(text, return_tensors) for text in texts]
        ids = self.model.tokenizer.encode(texts)
        if not ids:
            raise NeoError("the text is empty, and there is nothing to extract features from.")
        features = self.model.hidden_states([ids])[-1]
        return features if return_tensors else features.tolist()


def check_texts(texts):
    """Raise NeoError for anything but one text or a list of texts that is not empty."""
    if isinstance(texts, str):
        return
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise NeoError(f"a pipeline wants one text or a list of texts, and got {texts!r:.60}.")


TASKS = {"text-generation": TextGeneration, "feature-extraction": FeatureExtraction}

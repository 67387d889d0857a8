"""transformers on PyTorch: each function takes the job and returns run(case, threads).

`decode` and `prefill` take a function that may compile the model: `torch.compile`, or nothing for PyTorch's eager mode.
"""

import sys

from neo_np.bench.cases import CHUNK
from neo_np.bench.job import PROMPT, decode_steps
from neo_np.bench.measure import peak_mb, seconds_per_call, seconds_to_output, timed

FIRST_TOKEN = """
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, prompt, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
with torch.inference_mode():
    inputs = tokenizer(prompt, return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=1, min_new_tokens=1, do_sample=False, pad_token_id=0)
print(tokenizer.decode(ids[0]))
"""


def start(job):
    """Measure the seconds from the start of a process until transformers has written its first token."""
    command = [sys.executable, "-c", FIRST_TOKEN, job.folder, PROMPT]
    return lambda case, threads: seconds_to_output([*command, str(threads)], len(PROMPT))


def load_model(folder):
    """Return the checkpoint as transformers loads it, in float32 whatever the file has."""
    import torch
    from transformers import GPTNeoForCausalLM

    return GPTNeoForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def eager(model, dynamic):
    """Return the model as it is."""
    return model


def compiled(model, dynamic):
    """Return the model compiled by torch: one program for all lengths (dynamic), or one for each length."""
    import torch

    return torch.compile(model, dynamic=dynamic)


def load(job):
    """Measure the seconds from a folder to the first logits; every backend has its tokenizer before."""
    import torch
    from transformers import AutoTokenizer, GPTNeoForCausalLM  # noqa: F401  imported before the clock starts

    inputs = AutoTokenizer.from_pretrained(job.folder)(PROMPT, return_tensors="pt")

    @torch.inference_mode()
    def first_logits():
        load_model(job.folder)(**inputs)

    def run(case, threads):
        torch.set_num_threads(threads)
        return timed(first_logits)

    return run


def prefill(compile_model):
    """Measure the tokens of a prompt read per second: into a cache, with the logits of the last position."""

    def backend(job):
        import torch

        model = compile_model(load_model(job.folder), dynamic=False)

        @torch.inference_mode()
        def run(length, threads):
            torch.set_num_threads(threads)
            ids = torch.from_numpy(job.ids(1, length))
            return length / seconds_per_call(lambda: model(ids, use_cache=True, logits_to_keep=1), job.seconds)

        return run

    return backend


def decode(compile_model):
    """Measure the tokens per second that follow a context, one at a time in each row."""

    def backend(job):
        import torch

        eager_model, caches = load_model(job.folder), {}
        model = compile_model(eager_model, dynamic=True)  # the cache grows with each token

        @torch.inference_mode()
        def run(case, threads):
            torch.set_num_threads(threads)
            batch, context = case
            steps = decode_steps(job.config, context)
            ids = torch.from_numpy(job.ids(batch, context + steps))
            if (batch, context) not in caches:
                caches[batch, context] = read_prompt(eager_model, ids[:, :context])
            cache = caches[batch, context]

            def read_last():
                if cache.get_seq_length() > context:
                    cache.crop(context - cache.get_seq_length())  # a negative number -n removes the last n tokens
                for step in range(context, context + steps):
                    model(ids[:, step : step + 1], past_key_values=cache, use_cache=True)

            return batch * steps / seconds_per_call(read_last, job.seconds)

        return run

    return backend


def read_prompt(model, ids):
    """Return a cache that has read ids (B, T), some at a time."""
    cache = None
    for begin in range(0, ids.shape[1], CHUNK):
        chunk = ids[:, begin : begin + CHUNK]
        cache = model(chunk, past_key_values=cache, use_cache=True, logits_to_keep=1).past_key_values
    return cache


def batch(job):
    """Measure the new tokens per second of prompts of different lengths, padded on the left, greedily by `generate`."""
    import torch

    model = load_model(job.folder)

    @torch.inference_mode()
    def run(case, threads):
        torch.set_num_threads(threads)
        prompts, new = job.prompts(case)
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False, "pad_token_id": 0}
        seconds = seconds_per_call(lambda: model.generate(input_ids=ids, attention_mask=mask, **options), job.seconds)
        return len(prompts) * new / seconds

    return run


def memory(job):
    """Measure the peak memory in MB of a process that loads the model, reads a long prompt and writes some tokens."""
    import torch

    @torch.inference_mode()
    def run(length, threads):
        torch.set_num_threads(threads)
        model, steps = load_model(job.folder), decode_steps(job.config, length)
        ids = torch.from_numpy(job.ids(1, length + steps))
        cache = model(ids[:, :length], use_cache=True, logits_to_keep=1).past_key_values
        for step in range(length, length + steps):
            model(ids[:, step : step + 1], past_key_values=cache, use_cache=True)
        return peak_mb()

    return run

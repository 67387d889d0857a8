"""The table of benchmarks: what each measures, in which cases, and the backends that can do it."""

from collections.abc import Callable
from dataclasses import dataclass

from neo_np.bench import cases
from neo_np.bench.backends import hugging_face, neo, onnx_graph, parts, roofline, tokenizers, training
from neo_np.bench.job import Job
from neo_np.gpt_neo.config import Config

NEO, ROOFLINE, PLAIN = "neo_np", "roofline", "plain"

# The peers, with the packages that each needs, and those of them that are measured with one thread and with all.
PEERS = {
    "transformers": ("transformers", "torch"),
    "torch": ("torch", "transformers"),
    "torch.compile": ("torch", "transformers"),
    "onnxruntime": ("onnxruntime", "onnx", "onnxscript", "torch", "transformers"),
    "openvino": ("openvino", "onnx", "onnxscript", "torch", "transformers"),
    "tokenizers": ("tokenizers",),
    "tiktoken": ("tiktoken",),
    "encoder.py": (),
}
THREADED = "transformers", "torch", "torch.compile", "onnxruntime", "openvino"


@dataclass(frozen=True)
class Benchmark:
    """One thing to measure.

    cases(config): {label: case}. tokens(job, case): the `Tokens` of one call. config(job): the model's, or None.
    backends: {name: f(job) -> run(case)}. fresh_process: each measurement has a new process, in which nothing is loaded.
    """

    about: str
    unit: str
    cases: Callable
    tokens: Callable
    backends: dict[str, Callable]
    less_is_better: bool = False
    fresh_process: bool = False
    needs_weights: bool = True
    config: Callable[[Job], Config | None] = lambda job: job.config


BENCHMARKS = {
    "start": Benchmark(
        about="from the start of a process to the first token written",
        unit="s",
        cases=cases.one_case,
        tokens=cases.first_token,
        backends={NEO: neo.start, "transformers": hugging_face.start},
        less_is_better=True,
    ),
    "load": Benchmark(
        about="from the weights on disk to the first logits, in a new process after imports and tokenizer",
        unit="s",
        cases=cases.one_case,
        tokens=cases.first_token,
        backends={NEO: neo.load, "transformers": hugging_face.load},
        less_is_better=True,
        fresh_process=True,
    ),
    "prefill": Benchmark(
        about="read a prompt into a cache, with the logits of its last position",
        unit="tokens/s",
        cases=cases.prefill_cases,
        tokens=cases.prefill_tokens,
        backends={
            NEO: neo.prefill,
            "transformers": hugging_face.prefill(hugging_face.eager),
            "torch.compile": hugging_face.prefill(hugging_face.compiled),
            "onnxruntime": onnx_graph.prefill(onnx_graph.onnx_runtime),
            "openvino": onnx_graph.prefill(onnx_graph.openvino),
            ROOFLINE: roofline.prefill,
        },
    ),
    "decode": Benchmark(
        about="one token after the other in each row, after a context",
        unit="tokens/s",
        cases=cases.decode_cases,
        tokens=cases.decode_tokens,
        backends={
            NEO: neo.decode,
            "transformers": hugging_face.decode(hugging_face.eager),
            "torch.compile": hugging_face.decode(hugging_face.compiled),
            "onnxruntime": onnx_graph.decode(onnx_graph.onnx_runtime),
            "openvino": onnx_graph.decode(onnx_graph.openvino),
            ROOFLINE: roofline.decode,
        },
    ),
    "batch": Benchmark(
        about="prompts of different lengths, continued greedily by generate",
        unit="tokens/s",
        cases=cases.batch_cases,
        tokens=cases.batch_tokens,
        backends={NEO: neo.batch, "transformers": hugging_face.batch},
    ),
    "speculative": Benchmark(
        about="write a given text with prompt lookup, eight draft tokens at a time, and without (plain)",
        unit="tokens/s",
        cases=cases.speculative_cases,
        tokens=cases.speculative_tokens,
        backends={NEO: neo.speculative, PLAIN: neo.plain},
    ),
    "memory": Benchmark(
        about="peak memory of a new process: load the weights, read a long prompt, write some tokens",
        unit="MB",
        cases=cases.memory_cases,
        tokens=cases.memory_tokens,
        backends={NEO: neo.memory, "transformers": hugging_face.memory},
        less_is_better=True,
        fresh_process=True,
    ),
    "tokenizer": Benchmark(
        about="text to ids with a new tokenizer (cold), with one that has met the text (warm), and ids to text",
        unit="MB/s",
        cases=cases.tokenizer_cases,
        tokens=cases.no_tokens,
        backends={
            NEO: tokenizers.backend(tokenizers.neo),
            "tokenizers": tokenizers.backend(tokenizers.hugging_face),
            "tiktoken": tokenizers.backend(tokenizers.tiktoken),
            "encoder.py": tokenizers.backend(tokenizers.encoder_py),
        },
        needs_weights=False,
        config=lambda job: None,
    ),
    "parts": Benchmark(
        about="the time of each part of the model: for a prompt, and for a token after a context",
        unit="ms",
        cases=cases.parts_cases,
        tokens=cases.parts_tokens,
        backends={NEO: parts.parts},
        less_is_better=True,
    ),
    "growth": Benchmark(
        about="the time of a decoded token and of a prefill for texts of growing length, all layers local or all global",
        unit="ms",
        cases=cases.growth_cases,
        tokens=cases.growth_tokens,
        backends={NEO: neo.growth},
        less_is_better=True,
    ),
    "train": Benchmark(
        about="training steps of a separate model with random weights",
        unit="tokens/s",
        cases=cases.one_case,
        tokens=cases.train_tokens,
        backends={
            NEO: training.train,
            "torch": training.torch_train(hugging_face.eager),
            "torch.compile": training.torch_train(hugging_face.compiled),
        },
        needs_weights=False,
        config=lambda job: training.neo_config(job.train),
    ),
}

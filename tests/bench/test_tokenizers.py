"""The tokenizers that are measured."""

from neo_np.bench.backends import tokenizers
from neo_np.bench.job import Job


def test_encoder_py_gives_the_ids_of_the_tokenizer(tales, gpt2_tokenizer, text):
    for tokenizer in (tales.tokenizer, gpt2_tokenizer):
        encode, decode = tokenizers.encoder_py(tokenizer)
        for sample in (text, "aaaaaaa", "", " ", "\x00ÿ", "the king " * 3):
            assert encode(sample) == tokenizer.encode(sample)
            assert decode(encode(sample)) == sample


def test_cold_is_a_new_tokenizer_and_warm_the_same_one(tiny, text, monkeypatch):
    made = []

    def make(tables):
        made.append(texts := [])
        return lambda text: texts.append(text) or [1], lambda ids: "text"

    monkeypatch.setattr(tokenizers, "timed", lambda function: (function(), 1.0)[1])
    monkeypatch.setattr(tokenizers, "seconds_per_call", lambda function, seconds: (function(), 2.0)[1])
    job = Job(str(tiny), text_file=str(tiny.parent / "text.txt"))
    run, size = tokenizers.backend(make)(job), len((text * 20).encode("utf-8")) / 1e6
    assert (run("encode, cold"), run("encode, cold"), run("encode, warm")) == (size, size, size / 2)
    assert [len(texts) for texts in made] == [2, 1, 1]  # the first has met the text before the warm measurement

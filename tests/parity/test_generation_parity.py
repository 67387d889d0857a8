"""generate and the pipeline against those of transformers, on random models and on the checkpoint that ships."""

import dataclasses
import inspect
import json

import numpy as np
import pytest
import torch
import transformers
from helpers import BYTES, END, byte_model, forced, random_model
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import neo_np
from neo_np import NeoError, Tokenizer
from neo_np.folders.find import DEFAULT_CHECKPOINT, WEIGHTS_FOLDER
from neo_np.generate.foreign_options import FOREIGN_OPTIONS
from neo_np.generate.logits_processors import make_logits_processors
from neo_np.generate.options import read_options
from neo_np.generate.sampling import process_logits

# Among the cases are minimum lengths above the maximum, and options that override others. Both sides warn of them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:at least",
    "ignore:(max|min)_length changes nothing",
    "ignore:Unfeasible length",
    "ignore:Using the model-agnostic default",
)

WEIGHTS = WEIGHTS_FOLDER / DEFAULT_CHECKPOINT
VOCABULARY = 12
NEAR_TIE = 2e-4
# Values that chi-square exceeds once in a thousand times, by degrees of freedom.
CHI_SQUARE_0_999 = {9: 27.877, 35: 66.619}


def cases(number):
    """Return settings with this number of cases, the same in every run: then no run meets a tie that rounding decides."""
    return settings(max_examples=number, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """For models as small as these, threads spend more time waiting for each other than working."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def reference_of(model):
    """Return transformers' model with the same config and weights."""
    config = transformers.GPTNeoConfig(**model.config.to_dict())
    reference = transformers.GPTNeoForCausalLM(config).eval()
    named = {f"transformer.{name}": torch.tensor(array) for name, array in model.params.flat().items()}
    missing, unexpected = reference.load_state_dict(named, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])  # tied
    return reference


@pytest.fixture(scope="module")
def small():
    """A random model that no token ends, unless the call says so; with transformers' twin.

    Of so few tokens that all rules have something to do: runs repeat, bad words begin, texts end.
    """
    model = random_model(std=0.25, vocab_size=VOCABULARY, max_position_embeddings=64, eos_token_id=None)
    return model, reference_of(model)


@pytest.fixture(scope="module")
def their_tales():
    model = transformers.GPTNeoForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32).eval()
    return model, transformers.AutoTokenizer.from_pretrained(WEIGHTS)


def generate_theirs(reference, ids, **options):
    """Return all that transformers has to tell about its texts for one row of ids, or for rows of equal length."""
    ids = torch.tensor(ids)
    wanted = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    return reference.generate(ids if ids.ndim == 2 else ids[None], **{"do_sample": False} | wanted | options)


def gaps(scores):
    """Return how far the two best of the scores (1, V) are apart, at each step."""
    best = [torch.topk(step[0], 2).values for step in scores]
    return [(first - second).item() for first, second in best]


def assert_same_up_to_a_near_tie(ours, theirs, prompt_length, scores):
    """Return whether the texts are the same to their ends; where the two best tokens are all but equal, they may part."""
    decided = next((step for step, gap in enumerate(gaps(scores)) if gap <= NEAR_TIE), None)
    if decided is None:
        assert ours == theirs
    else:
        assert ours[: prompt_length + decided] == theirs[: prompt_length + decided]
    return ours == theirs


# greedy

SHAPES = [
    {"num_layers": 2, "attention_layers": ["global", "local"], "window_size": 16},
    {"num_layers": 4, "attention_layers": ["global", "local"] * 2, "window_size": 5, "vocab_size": 500},
    {"num_layers": 3, "attention_layers": ["local"] * 3, "window_size": 1, "num_heads": 1, "hidden_size": 40},
    {"num_layers": 8, "attention_layers": ["global", "local"] * 4, "window_size": 256, "hidden_size": 48, "std": 0.02},
]


def test_greedy_random_models_equal_over_200_tokens():
    """Half of them forbidden to repeat runs of three tokens: random models like to say one thing for ever."""
    runs, whole = 0, 0
    for seed, shape in enumerate(SHAPES):
        model = random_model(seed, max_position_embeddings=256, eos_token_id=None, **shape)
        reference = reference_of(model)
        for size in (0, 0, 3, 3):
            prompt = np.random.default_rng([seed, runs]).integers(0, 50, 1 + 3 * runs).tolist()
            theirs = generate_theirs(reference, prompt, max_new_tokens=200, no_repeat_ngram_size=size)
            ours = model.generate(prompt, max_new_tokens=200, no_repeat_ngram_size=size)
            runs += 1
            whole += assert_same_up_to_a_near_tie(ours, theirs.sequences[0].tolist(), len(prompt), theirs.scores)
            assert len(ours) == len(prompt) + 200
    assert whole >= 0.8 * runs


@pytest.mark.parametrize("prompt", ["Once upon a time", "The princess", "'Who are you?' said", "There was a king who"])
@pytest.mark.parametrize("size", [0, 4])
def test_greedy_shipped_checkpoint_equals_over_200_tokens(tales, their_tales, prompt, size):
    reference, tokenizer = their_tales
    ids = tokenizer(prompt).input_ids
    options = {"max_new_tokens": 200, "min_new_tokens": 200, "no_repeat_ngram_size": size}
    theirs = generate_theirs(reference, ids, **options)
    assert min(gaps(theirs.scores)) > NEAR_TIE
    assert tales.generate(ids, **options) == theirs.sequences[0].tolist()
    assert tales.generate(prompt, **options) == prompt + tokenizer.decode(theirs.sequences[0][len(ids) :])


# options

token_ids = st.integers(0, VOCABULARY - 1)
prompts = st.lists(token_ids, min_size=1, max_size=10)
# transformers wants at least one bad word that is not an end by itself.
some_bad_words = st.builds(
    lambda words, longer: [*words, longer],
    st.lists(st.lists(token_ids, min_size=1, max_size=2), max_size=6),
    st.lists(token_ids, min_size=2, max_size=3),
)
some_ids = st.lists(token_ids, min_size=1, max_size=3, unique=True)
low_ids = st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)  # to suppress
high_ids = st.integers(6, VOCABULARY - 1)  # to force: transformers refuses to force what is suppressed
sequences = st.lists(token_ids, min_size=1, max_size=3).map(tuple)
PROCESSORS = {
    "sequence_bias": st.dictionaries(sequences, st.floats(-5, 5), min_size=1, max_size=5),
    "encoder_repetition_penalty": st.floats(0.5, 2.0),
    "repetition_penalty": st.floats(0.5, 2.0),
    "no_repeat_ngram_size": st.integers(2, 4),
    "encoder_no_repeat_ngram_size": st.integers(1, 3),
    "bad_words_ids": some_bad_words,
    "min_length": st.integers(0, 40),
    "min_new_tokens": st.integers(0, 30),
    "eos_token_id": token_ids | some_ids,
    "forced_bos_token_id": high_ids,
    "forced_eos_token_id": high_ids,
    "exponential_decay_length_penalty": st.tuples(st.integers(0, 10), st.floats(0.8, 1.5)),
    "suppress_tokens": low_ids,
    "begin_suppress_tokens": low_ids,
    "renormalize_logits": st.booleans(),
}
LIMITS = st.one_of(
    st.just({}),
    st.integers(1, 40).map(lambda n: {"max_new_tokens": n}),
    st.integers(11, 60).map(lambda n: {"max_length": n}),
    st.builds(lambda n, m: {"max_new_tokens": n, "max_length": m}, st.integers(1, 40), st.integers(11, 60)),
)
SAMPLING = {
    "temperature": st.floats(0.2, 3.0),
    "top_k": st.integers(0, 15),
    "top_p": st.floats(0.0, 1.0),
    "min_p": st.floats(0.0, 1.0),
    "typical_p": st.floats(0.01, 1.0),
    "top_h": st.floats(0.01, 0.99),
    "epsilon_cutoff": st.floats(0.0, 0.5),
    "eta_cutoff": st.floats(0.0, 0.5),
}


def some(*groups):
    """Return options drawn from these groups, and an end token for the penalty that needs one."""
    options = {name: values for group in groups for name, values in group.items()}
    return st.fixed_dictionaries({}, optional=options).map(
        lambda drawn: ({"eos_token_id": 7} if "exponential_decay_length_penalty" in drawn else {}) | drawn
    )


def all_masked(theirs):
    """Return whether transformers came to a step where every token was masked. It continues with token 0; neo_np raises."""
    return any(bool(((step == -torch.inf) | step.isnan()).all(dim=-1).any()) for step in theirs.scores)


def sample_theirs(reference, prompt, **options):
    """Sample with transformers, always the same way. Cases in which every token is masked are left out: torch raises."""
    torch.manual_seed(0)
    try:
        return generate_theirs(reference, prompt, do_sample=True, **options)
    except (RuntimeError, ValueError) as error:
        assert "probability tensor contains" in str(error) or "satisfy the constraint" in str(error)
        reject()


@cases(250)
@given(prompts, LIMITS, some(PROCESSORS, {"forced_eos_token_id": high_ids | st.lists(high_ids, min_size=2, max_size=3)}))
def test_greedy_with_all_processors_equals_transformers(small, prompt, limits, processors):
    model, reference = small
    theirs = generate_theirs(reference, prompt, **limits, **processors)
    if all_masked(theirs):
        with pytest.raises(NeoError, match="forbid every token"):
            model.generate(prompt, **limits, **processors)
        return
    ours = model.generate(prompt, **limits, **processors)
    assert_same_up_to_a_near_tie(ours, theirs.sequences[0].tolist(), len(prompt), theirs.scores)


@cases(200)
@given(prompts, LIMITS, some(PROCESSORS, SAMPLING))
def test_sampling_distributions_equal(small, prompt, limits, options):
    """At each step of a text that transformers has drawn: the same tokens are possible, with the same scores."""
    model, reference = small
    options = limits | options
    theirs = sample_theirs(reference, prompt, **options)
    ids = theirs.sequences[0].tolist()
    ours = read_options({"do_sample": True, **options}, model.generation_config, model.config)
    processors = make_logits_processors(ours, prompt, *ours.limits(len(prompt), 64))
    all_logits = model.logits(ids[:-1])[len(prompt) - 1 :]
    assert len(all_logits) == len(theirs.scores)
    for step, (logits, their_logits, scores) in enumerate(zip(all_logits, theirs.logits, theirs.scores)):
        np.testing.assert_allclose(logits, their_logits[0], atol=1e-4)
        found = process_logits(their_logits[0].numpy(), ids[: len(prompt) + step], processors)
        np.testing.assert_array_equal(found == -np.inf, scores[0] == -torch.inf)
        np.testing.assert_allclose(found, scores[0], rtol=1e-5, atol=1e-5)


@cases(200)
@given(prompts, st.integers(2, 4), some(PROCESSORS, SAMPLING))
def test_sampled_beams_distributions_equal(small, prompt, num_beams, options):
    """Of the first step: all beams are the prompt still."""
    model, reference = small
    options = {"num_beams": num_beams, "max_new_tokens": 3} | options
    theirs = sample_theirs(reference, prompt, **options)
    ours = read_options({"do_sample": True, **options}, model.generation_config, model.config)
    processors = make_logits_processors(ours, prompt, *ours.limits(len(prompt), 64))
    log_probs = torch.log_softmax(theirs.logits[0][0], dim=-1).numpy()
    found, scores = process_logits(log_probs, prompt, processors), theirs.scores[0][0]
    np.testing.assert_array_equal(found == -np.inf, scores == -torch.inf)
    np.testing.assert_allclose(found, scores, rtol=1e-5, atol=1e-5)


def test_users_processor_has_the_same_place(small):
    """After the other rules and before temperature and the like: it sees the same scores, and has the same effect."""
    model, reference = small
    seen = []

    def processor(ids, scores):
        seen.append((list(ids), np.array(scores)))
        return scores + 1.5 * (np.arange(VOCABULARY) % 2 == 0).astype(np.float32)

    others = {"repetition_penalty": 1.5, "bad_words_ids": [[3]], "min_length": 15, "eos_token_id": 9}
    options = {"do_sample": True, "temperature": 0.5, "top_k": 5, **others}
    torch.manual_seed(0)
    their_processor = [lambda ids, scores: torch.tensor(processor(ids[0].tolist(), scores[0].numpy()))[None]]
    theirs = generate_theirs(reference, [1, 2, 3], max_new_tokens=20, logits_processor=their_processor, **options)
    seen_by_theirs = seen.copy()
    seen.clear()
    our_processor = [lambda logits, ids: processor(ids, logits)]
    ours = read_options({"logits_processor": our_processor, **options}, model.generation_config, model.config)
    ids, processors = theirs.sequences[0].tolist(), make_logits_processors(ours, [1, 2, 3], 15, 23)
    for step, (logits, scores) in enumerate(zip(theirs.logits, theirs.scores)):
        found = process_logits(logits[0].numpy(), ids[: 3 + step], processors)
        np.testing.assert_allclose(found, scores[0], rtol=1e-5)
    for (our_ids, our_scores), (their_ids, their_scores) in zip(seen, seen_by_theirs, strict=True):
        assert our_ids == their_ids
        np.testing.assert_allclose(our_scores, their_scores, rtol=1e-5)


# random choice: as often as transformers' probabilities say, or as transformers itself chooses


def chi_square(counts, expected, variance):
    return (np.square(counts - expected) / variance).sum()


def test_sampling_first_tokens_have_the_frequencies_of_their_probabilities():
    model = random_model(std=0.5, vocab_size=10, eos_token_id=None)
    options = {"do_sample": True, "max_new_tokens": 1, "temperature": 1.4, "repetition_penalty": 1.2}
    expected = torch.softmax(generate_theirs(reference_of(model), [1, 2, 3], **options).scores[0][0], dim=-1).numpy()
    drawn = [ids[-1] for ids in model.generate([[1, 2, 3]] * 20_000, seed=0, **options)]
    assert chi_square(np.bincount(drawn, minlength=10), 20_000 * expected, 20_000 * expected) < CHI_SQUARE_0_999[9]


def test_sampled_beams_have_the_same_frequencies():
    """All 36 texts of two tokens, two beams: how often each is the best one found, by ours and by theirs."""
    model, times = random_model(std=0.2, vocab_size=6, eos_token_id=None), 3000
    options = {"do_sample": True, "num_beams": 2, "max_new_tokens": 2, "top_k": 0, "temperature": 2.0}
    torch.manual_seed(0)
    theirs = generate_theirs(reference_of(model), [[1, 2, 3]] * times, **options).sequences.tolist()
    ours = model.generate([[1, 2, 3]] * times, seed=0, **options)
    counts = [np.bincount([6 * ids[-2] + ids[-1] for ids in found], minlength=36) for found in (ours, theirs)]
    found = counts[0] + counts[1] > 0
    assert found.sum() > 15
    # The difference of two counts of the same probability has their sum for its variance.
    assert chi_square(counts[0][found] - counts[1][found], 0, counts[0][found] + counts[1][found]) < CHI_SQUARE_0_999[35]


# batches


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "processors", [{}, {"repetition_penalty": 1.5}, {"bad_words_ids": [[7], [4, 2]]}, {"min_new_tokens": 12}]
)
def test_batches_with_left_padding_equal(small, seed, processors):
    """transformers finds positions from attention_mask; the padding is token 0, which may occur in the text as well."""
    model, reference = small
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, VOCABULARY, length).tolist() for length in rng.integers(1, 20, 5)]
    longest, eos_ids = max(map(len, rows)), [3, 8]
    padded = torch.tensor([[0] * (longest - len(ids)) + ids for ids in rows])
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in rows])
    options = {"max_new_tokens": 30, "eos_token_id": eos_ids, **processors}
    theirs = reference.generate(padded, attention_mask=mask, pad_token_id=0, do_sample=False, **options)[:, longest:]
    for ids, ours, new in zip(rows, model.generate(rows, **options), theirs.tolist()):
        end = next((i + 1 for i, token in enumerate(new) if token in eos_ids), len(new))
        assert ours == ids + new[:end]


# stop strings


@pytest.fixture(scope="module")
def long_tale(tales):
    return tales.generate("Once upon a time", max_new_tokens=80, no_repeat_ngram_size=4)


@cases(60)
@given(st.lists(st.tuples(st.integers(0, 150), st.integers(1, 12)), min_size=1, max_size=3), st.sampled_from([1, 3]))
def test_stop_strings_random_pieces_stop_at_the_same_token(tales, their_tales, long_tale, places, num_beams):
    """Stop strings cut out of what the model is going to write (or of the prompt), at any letter."""
    reference, tokenizer = their_tales
    stops = [long_tale[start : start + length] for start, length in places]
    ids = tokenizer("Once upon a time").input_ids
    options = {"max_new_tokens": 40, "stop_strings": stops, "no_repeat_ngram_size": 4, "num_beams": num_beams}
    theirs = generate_theirs(reference, ids, tokenizer=tokenizer, **options)
    assert tales.generate(ids, **options) == texts_of(theirs, len(ids))[0]


TURN = len(BYTES)  # the id of a special token beside `<|endoftext|>`


@pytest.fixture(scope="module")
def turn(tmp_path_factory):
    """A random model over bytes with the special token <|turn|>, with transformers' twin and its tokenizer."""
    folder = tmp_path_factory.mktemp("turn")
    tokenizer = Tokenizer(BYTES.vocab | {"<|turn|>": TURN}, [], {"<|endoftext|>": END, "<|turn|>": TURN})
    model = byte_model(vocab_size=TURN + 3, tokenizer=tokenizer)  # two ids have no token
    neo_np.save(model, folder)
    return model, reference_of(model), transformers.AutoTokenizer.from_pretrained(folder)


class Forced(transformers.LogitsProcessor):
    """Makes transformers generate these ids, as `helpers.forced` does with neo_np."""

    def __init__(self, ids, after):
        self.ids, self.after = ids, after

    def __call__(self, input_ids, scores):
        forced = torch.full_like(scores, -torch.inf)
        forced[:, self.ids[input_ids.shape[1] - self.after]] = 0
        return forced


@cases(100)
@given(
    st.lists(st.sampled_from([*b"aabbc ", TURN, TURN]), min_size=2, max_size=12),
    st.lists(st.sampled_from([*b"abc", TURN, TURN + 1]), min_size=1, max_size=4),
    st.lists(st.text("abc ", max_size=3), min_size=2, max_size=2),
    st.sampled_from(["<|turn|>", "", "<|turn|><|turn|>"]),
)
def test_stop_strings_with_special_tokens_stop_at_the_same_token(turn, ids, prompt, around, special):
    """Also after prompts with an id that has no token, which the padded vocabulary allows.

    Only letters that are not in "<|turn|>": transformers also finds stop strings inside the name of a special token.
    """
    model, reference, tokenizer = turn
    stop = special.join(around) or "<|turn|>"
    options = {"max_new_tokens": len(ids), "stop_strings": [stop, "zzz"]}
    processor = Forced(ids, len(prompt))
    theirs = generate_theirs(reference, prompt, tokenizer=tokenizer, logits_processor=[processor], **options)
    ours = model.generate(prompt, logits_processor=[forced(ids, len(prompt))], **options)
    assert ours == theirs.sequences[0].tolist()


# the checkpoint's own settings


SETTINGS = [
    {"suppress_tokens": [3, 7]},
    {"begin_suppress_tokens": [5, 6, 50_000]},
    {"suppress_tokens": [-1, 4]},
    {"forced_bos_token_id": 9, "forced_eos_token_id": 4},
    {"sequence_bias": [[[5, 6], -4.0], [[7], 2.5], [[8], -10.0]]},
    {"exponential_decay_length_penalty": [2, 1.3], "eos_token_id": [5, 11]},
    {"encoder_repetition_penalty": 1.4, "encoder_no_repeat_ngram_size": 2},
    {"renormalize_logits": True, "num_beams": 3, "repetition_penalty": 1.3},
    {"num_beams": 4, "length_penalty": 0.0, "early_stopping": True, "max_length": 14},
    {"eos_token_id": [5, 9_999], "min_length": 9, "temperature": None, "top_k": None},
    {"bad_words_ids": [[5], [7, 8]], "max_new_tokens": 7, "no_repeat_ngram_size": 2, "do_sample": None},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("file", ["generation_config.json", "config.json"])
@pytest.mark.parametrize("prompt", [[1], [3, 7, 8, 5, 6]])
def test_settings_of_the_checkpoint_equal(tmp_path, settings, file, prompt):
    """Old checkpoints have them in config.json, which counts if there is no generation_config.json."""
    model = byte_model()
    neo_np.save(model, tmp_path)
    path = tmp_path / file
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | settings))
    reference = transformers.GPTNeoForCausalLM.from_pretrained(tmp_path).eval()
    ours = neo_np.load(tmp_path)
    theirs = reference.generate(torch.tensor([prompt]), pad_token_id=END)[0].tolist()
    assert ours.generate(prompt) == theirs[: len(ours.generate(prompt))]
    assert set(theirs[len(ours.generate(prompt)) :]) <= {END}


def test_tensors_are_taken_as_ids(small):
    model, _ = small
    expected = model.generate([1, 2, 3], max_new_tokens=5)
    assert model.generate(torch.tensor([1, 2, 3]), max_new_tokens=5) == expected
    assert model.generate(torch.tensor([[1, 2, 3]]), attention_mask=torch.ones(1, 3), max_new_tokens=5) == [expected]
    assert model.generate([torch.tensor([1, 2, 3]), [1]], max_new_tokens=5)[0] == expected


ARRAY_LIKE_OPTIONS = [
    {"max_new_tokens": np.int64(5)},
    {"max_new_tokens": torch.tensor(5)},
    {"max_length": np.int32(8)},
    {"num_beams": np.int64(2), "num_return_sequences": np.int64(2)},
    {"suppress_tokens": np.array([4, 5])},
    {"suppress_tokens": torch.tensor([4, 5, 6])},
    {"suppress_tokens": range(3, 9)},
    {"eos_token_id": torch.tensor(5)},
    {"eos_token_id": np.array([4, 5])},
    {"repetition_penalty": np.float64(3.0)},
]


@pytest.mark.parametrize("options", ARRAY_LIKE_OPTIONS, ids=str)
def test_numbers_and_arrays_of_other_libraries_are_taken_as_options(small, options):
    model, reference = small
    limit = {} if options.keys() & {"max_new_tokens", "max_length"} else {"max_new_tokens": 6}
    theirs = reference.generate(torch.tensor([[1, 2, 3]]), pad_token_id=END, do_sample=False, **limit, **options).tolist()
    ours = model.generate([[1, 2, 3]], **limit, **options)
    assert ours == [row[: len(found)] for row, found in zip(theirs, ours, strict=True)]
    assert all(set(row[len(found) :]) <= {END} for row, found in zip(theirs, ours))


def test_every_option_of_transformers_is_known():
    """Each is an option of neo_np, or has an advice."""
    names = {name for name in vars(transformers.GenerationConfig()) if not name.startswith("_")}
    names |= set(inspect.signature(transformers.GenerationMixin.generate).parameters) - {"self", "kwargs"}
    names |= {"attention_mask", "input_ids", "tokenizer", "assistant_tokenizer"}
    assert names <= {field.name for field in dataclasses.fields(neo_np.Options)} | FOREIGN_OPTIONS.keys()


def test_objects_of_pytorch_that_change_nothing_are_accepted(small):
    model, _ = small
    for options in ({"torch_dtype": torch.float32}, {"dtype": torch.float32, "device": torch.device("cpu")}):
        assert model.generate([1, 2], max_new_tokens=3, **options) == model.generate([1, 2], max_new_tokens=3)
    for options in ({"torch_dtype": torch.float16}, {"device": torch.device("cuda")}):
        with pytest.raises(neo_np.NeoError, match="is not an option of neo_np"):
            model.generate([1, 2], max_new_tokens=3, **options)


def test_generation_config_as_options_is_accepted(small):
    model, reference = small
    config = transformers.GenerationConfig(max_new_tokens=5, num_beams=2, repetition_penalty=1.2)
    theirs = reference.generate(torch.tensor([[1, 2, 3]]), generation_config=config)[0].tolist()
    assert model.generate([1, 2, 3], **config.to_dict()) == theirs


def test_defaults_equal():
    theirs = transformers.GenerationConfig._get_default_generation_params()
    ours = {field.name: field.default for field in dataclasses.fields(neo_np.Options)}
    apart = {"max_length", "num_assistant_tokens"}  # 20 tokens more than the prompt; how many drafts changes no text
    assert {name: ours[name] for name in ours.keys() & theirs.keys() - apart} == {
        name: theirs[name] for name in ours.keys() & theirs.keys() - apart
    }


# beams


def texts_of(theirs, prompt_length):
    """Return the texts without what they are filled up with: for beams, the steps without a beam."""
    if "beam_indices" not in theirs or theirs.beam_indices is None:
        return theirs.sequences.tolist()
    lengths = (theirs.beam_indices >= 0).sum(dim=1).tolist()
    return [ids[: prompt_length + length] for ids, length in zip(theirs.sequences.tolist(), lengths)]


BEAMS = {
    "length_penalty": st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0]),
    "early_stopping": st.sampled_from([True, False, "never"]),
}


@cases(400)
@given(prompts, LIMITS, st.integers(2, 6), st.data(), some(PROCESSORS, BEAMS))
def test_beam_search_random_options_equals(small, prompt, limits, num_beams, data, options):
    model, reference = small
    number = data.draw(st.integers(1, num_beams))
    options = {"num_beams": num_beams, "num_return_sequences": number, **limits, **options}
    theirs = generate_theirs(reference, prompt, **options)
    if all_masked(theirs):
        reject()
    lengths = (theirs.beam_indices >= 0).sum(dim=1).clamp(min=1)
    log_probs = theirs.sequences_scores * lengths ** options.get("length_penalty", 1.0)
    if log_probs.min() < -1e6:  # transformers fills up with texts that are not possible
        with pytest.raises(NeoError, match="allow only"):
            model.generate(prompt, **options)
        return
    ours = model.generate(prompt, **options)
    assert (ours if number > 1 else [ours]) == texts_of(theirs, len(prompt))


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 2.0])
def test_beam_search_shipped_checkpoint_equals(tales, their_tales, early_stopping, length_penalty):
    """With a full stop and a comma, two ids, as the end."""
    reference, tokenizer = their_tales
    ids = tokenizer("There was once a").input_ids
    options = {
        "num_beams": 4,
        "num_return_sequences": 4,
        "max_new_tokens": 30,
        "eos_token_id": [*tokenizer(".").input_ids, *tokenizer(",").input_ids],
        "early_stopping": early_stopping,
        "length_penalty": length_penalty,
    }
    theirs = generate_theirs(reference, ids, **options)
    assert tales.generate(ids, **options) == texts_of(theirs, len(ids))


# the pipeline


@pytest.fixture(scope="module")
def generators(tales, their_tales):
    reference, tokenizer = their_tales
    return neo_np.pipeline("text-generation", tales), transformers.pipeline("text-generation", reference, tokenizer=tokenizer)


@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 40},
        {"max_new_tokens": 40, "return_full_text": False},
        {"max_length": 30},
        {"max_length": 30, "min_length": 25, "repetition_penalty": 1.3},
        {"max_new_tokens": 20, "num_beams": 3},
        {"max_new_tokens": 20, "num_beams": 4, "num_return_sequences": 3, "no_repeat_ngram_size": 2},
        {"max_new_tokens": 20, "num_beams": 3, "num_return_sequences": 3, "return_full_text": False, "early_stopping": True},
    ],
)
@pytest.mark.parametrize("texts", ["Once upon a time", ["The king", "  An old woman,\n", ""], ["One"]])
def test_pipelines_equal(generators, texts, options):
    ours, theirs = generators
    assert ours(texts, do_sample=False, **options) == theirs(texts, do_sample=False, **options)


def test_pipelines_defaults_equal():
    """Ours are checked in tests/test_pipeline.py to be these."""
    defaults = transformers.TextGenerationPipeline._default_generation_config.to_diff_dict()
    defaults.pop("transformers_version", None)
    assert defaults == {"do_sample": True, "temperature": 0.7, "max_new_tokens": 256}


def test_feature_extraction_is_close(tales, their_tales):
    reference, tokenizer = their_tales
    theirs = transformers.pipeline("feature-extraction", reference.transformer, tokenizer=tokenizer)
    ours, texts = neo_np.pipeline("feature-extraction", tales), ["Once upon a time", "The king's daughter."]
    for found, expected in [(ours(texts[0]), theirs(texts[0])), *zip(ours(texts), theirs(texts), strict=True)]:
        found, expected = np.array(found), np.array(expected)
        assert found.shape == expected.shape
        assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 1e-5


# speculative decoding


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("drafting", ["prompt lookup", "assistant"])
def test_speculative_decoding_equals(small, seed, drafting):
    """Both draft by prompt lookup, or with the same small model, and both write what the model writes without drafts."""
    model, reference = small
    assistant = random_model(seed=9, std=0.25, vocab_size=VOCABULARY, max_position_embeddings=64, eos_token_id=None)
    prompt = np.random.default_rng(seed).integers(0, VOCABULARY, 6).tolist()
    options = {"max_new_tokens": 40, "no_repeat_ngram_size": 5}
    alone = generate_theirs(reference, prompt, **options)
    if drafting == "prompt lookup":
        ours = theirs = {"prompt_lookup_num_tokens": 4}
    else:
        ours, theirs = {"assistant_model": assistant}, {"assistant_model": reference_of(assistant)}
    found = model.generate(prompt, **options, **ours)
    assert generate_theirs(reference, prompt, **options, **theirs).sequences[0].tolist() == alone.sequences[0].tolist()
    for step, scores in enumerate(alone.scores, start=len(prompt)):
        best = scores[0].topk(2).values
        if best[0] - best[1] < NEAR_TIE:
            return  # from a tie on, either may go its own way
        assert found[step] == scores[0].argmax()

"""How good a model is: bits per byte of texts, last words (LAMBADA), multiple choice; and `python -m neo_np.evaluate`.

All three ask one thing, `log_likelihoods`: how probable is the end of a text after its beginning? They are defined as
lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness) defines its tasks; `neo_np/harness.py` lets
that program itself run a model.
"""

import json
import math
import sys

import numpy as np

import neo_np
from neo_np.corpus import documents, text_files
from neo_np.errors import NeoError
from neo_np.layers import cross_entropy, linear
from neo_np.model import output_embedding, transformer
from neo_np.terminal import OneLineParser, progress_bar, run_command

LOGITS_BLOCK = 256  # positions whose logits are held at a time: for all of a batch they would take gigabytes
BATCH_SIZE = 8
DELIMITER = " "  # between a question and its answer


# How probable is the end of a text after its beginning?


def log_likelihoods(model, rows, batch_size=BATCH_SIZE, progress=None):
    """Return for each row (log-likelihood, greedy): a float in nats, and whether each scored token is the likeliest one.

    rows: list of (ids, scored): token ids, of which the last `scored` are predicted, each from all that stand before it.
        A row longer than the model's positions + 1 loses its beginning (the last token is predicted, never looked at).
    progress: f(tokens done, tokens in all), called after each batch. Rows of like length share a batch; the results
        are the same for every batch_size, but for rounding.
    Raises NeoError where a row has no room for what is scored, and where the model gives NaN.
    """
    if type(batch_size) is not int or batch_size < 1:
        raise NeoError(f"batch_size is {batch_size!r}, and it must be a whole number above 0.")
    rows = [(np.asarray(ids)[-model.config.max_position_embeddings - 1 :], scored) for ids, scored in rows]
    for ids, scored in rows:
        if not 0 < scored < len(ids):
            raise NeoError(
                f"{scored} tokens are to be scored after at least one other, and there is room for {len(ids)} in all: "
                f"the model has {model.config.max_position_embeddings} positions."
            )
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i][0]))
    results, done, total = [None] * len(rows), 0, sum(len(ids) for ids, _ in rows)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        for i, result in zip(batch, batch_log_likelihoods(model, [rows[i] for i in batch])):
            results[i] = result
            done += len(rows[i][0])
        if progress:
            progress(done, total)
    return results


def batch_log_likelihoods(model, rows):
    """Return `log_likelihoods` of rows that fit the model, from one forward pass.

    Shorter rows are padded at the end: no token ever looks at one after it, so that padding changes nothing.
    """
    shape = len(rows), max(len(ids) for ids, _ in rows) - 1
    inputs, targets, scored = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape, bool)  # (B, T)
    for i, (ids, count) in enumerate(rows):
        last = len(ids) - 1
        inputs[i, :last], targets[i, :last] = ids[:-1], ids[1:]
        scored[i, last - count : last] = True
    x = transformer(model.params, model.config, model.check_ids(inputs))[scored]  # (B, T, C) -> (N, C)
    targets = model.check_ids(targets)[scored]  # (N,)
    nats, greedy = np.empty(len(x)), np.empty(len(x), bool)
    for start in range(0, len(x), LOGITS_BLOCK):
        part = slice(start, start + LOGITS_BLOCK)
        logits = linear(x[part], output_embedding(model.params))  # (block, V)
        nats[part] = cross_entropy(logits, targets[part])
        greedy[part] = logits.argmax(axis=-1) == targets[part]
    if np.isnan(nats).any():
        raise NeoError("the model's scores are not numbers (NaN): its weights are damaged, or its training went astray.")
    borders = np.cumsum([count for _, count in rows])[:-1]
    return [(-float(n.sum()), bool(g.all())) for n, g in zip(np.split(nats, borders), np.split(greedy, borders))]


def begin_token(model):
    """Return the id that stands before a text as its only context: bos_token_id, else the first eos id, else None."""
    ids = [model.config.bos_token_id, *model.config.eos_token_ids]
    return next((id for id in ids if id is not None), None)


def continuation_row(model, context, continuation):
    """Return (ids, scored) for the tokens of a text that continues another, as lm-evaluation-harness cuts them.

    White space at the end of the context goes over to the continuation (GPT-2's tokens begin with their space); both
    are encoded as one text, and what is longer than the context alone is scored. An empty context becomes the
    `begin_token`, unless the continuation begins with it.
    """
    encode = model_tokenizer(model).encode
    bare = context.rstrip()
    whole, first = encode(context + continuation), len(encode(bare))
    begin = begin_token(model)
    if first == 0 and whole[:1] != [begin]:
        if begin is None:
            raise NeoError(f"{continuation!r:.40} has no context, and the model has no bos_token_id to begin with.")
        whole = [begin, *whole]
    first = first or 1
    if len(whole) <= first:
        raise NeoError(f"{continuation!r:.40} after {context[-40:]!r} adds no token of its own that could be scored.")
    return whole, len(whole) - first


def model_tokenizer(model):
    """Return the tokenizer; raises NeoError where the model has none."""
    if model.tokenizer is None:
        raise NeoError("this model has no tokenizer, and evaluating texts needs it: load it with tokenizer=FOLDER.")
    return model.tokenizer


# Text


def text_windows(ids, window, stride):
    """Return the rows (ids, scored) that predict each of the ids but the first exactly once.

    The first window predicts as many tokens as it can; each after it the next `stride`, from the `window` tokens before
    each one's last: so a token has at least window - stride + 1 tokens of context, or all that there are.
    With window 4, stride 2, a to h (^ stands under what is scored):

        a b c d e        c d e f g        d e f g h
          ^ ^ ^ ^              ^ ^                ^
    """
    rows, scored = [], 1  # the first token has no context
    while scored < len(ids):
        end = min(scored + (window if scored == 1 else stride), len(ids))
        rows.append((ids[max(0, end - window - 1) : end], end - scored))
        scored = end
    return rows


def evaluate_text(model, documents, window=None, stride=None, batch_size=BATCH_SIZE, progress=None):
    """Return a dict that says how well the model predicts documents: how few nats or bits it needs for what is there.

    documents: texts, or lists of token ids, each scored by itself, as lm-evaluation-harness's `loglikelihood_rolling`
        does it: the `begin_token` stands before it as context; a model without one leaves the first token unscored.
    window, stride: see `text_windows`; by default all the model's positions, and half the window.
    documents (those not empty), tokens (scored), unscored, bytes (UTF-8, of what was scored), loss (nats per token, the
    mean over all), perplexity (e to the loss), bits_per_byte (all nats / ln 2 / bytes: the one number that can be
    compared between models with different tokenizers), window, stride.
    Raises NeoError where there is nothing to score, and for a window or stride that does not fit.
    """
    positions = model.config.max_position_embeddings
    window = positions if window is None else window
    if type(window) is not int or not 1 <= window <= positions:
        raise NeoError(f"window is {window!r}, and it must be a whole number from 1 to the model's {positions} positions.")
    stride = max(1, window // 2) if stride is None else stride
    if type(stride) is not int or not 1 <= stride <= window:
        raise NeoError(f"stride is {stride!r}, and it must be a whole number from 1 to the window of {window} tokens.")
    tokenizer, begin = model_tokenizer(model), [] if begin_token(model) is None else [begin_token(model)]
    rows, tokens, unscored, size = [], 0, 0, 0
    texts = [tokenizer.encode(document) if isinstance(document, str) else document for document in documents]
    texts = [np.array([*begin, *ids]) for ids in texts if len(ids)]
    for ids in texts:
        rows += text_windows(ids, window, stride)
        tokens += len(ids) - 1
        unscored += 0 if begin else 1
        size += len(tokenizer.decode_bytes(ids[1:].tolist()))
    if not tokens:
        raise NeoError("there is no text to score: the documents are empty, or too short for a model without bos_token_id.")
    nats = -sum(log_likelihood for log_likelihood, _ in log_likelihoods(model, rows, batch_size, progress))
    return {
        "documents": len(texts),
        "tokens": tokens,
        "unscored": unscored,
        "bytes": size,
        "loss": nats / tokens,
        "perplexity": exp(nats / tokens),
        "bits_per_byte": nats / math.log(2) / size,
        "window": window,
        "stride": stride,
    }


# Last words and multiple choice


def evaluate_lambada(model, texts, batch_size=BATCH_SIZE, progress=None):
    """Return a dict that says how well the model guesses the last word of texts: lambada_openai of lm-evaluation-harness.

    Paperno et al. 2016 (arXiv 1606.06031). The word is what stands after the last space, with that space.
    texts, acc (the share where every token of the word is the likeliest one), acc_stderr (its standard error), perplexity
    (e to the mean over the words of -log-likelihood: per word, not per token).
    """
    pairs = [text.rpartition(" ") for text in texts]
    rows = [continuation_row(model, context, " " + word) for context, _, word in pairs]
    results = log_likelihoods(model, some(rows), batch_size, progress)
    acc = [greedy for _, greedy in results]
    word_nats = -np.mean([log_likelihood for log_likelihood, _ in results])
    return {"texts": len(texts), "acc": mean(acc), "acc_stderr": standard_error(acc), "perplexity": exp(word_nats)}


def evaluate_choices(model, questions, batch_size=BATCH_SIZE, progress=None):
    """Return a dict that says how often the model finds the right choice: multiple_choice of lm-evaluation-harness.

    questions: dicts {"context": str, "choices": list of str, "label": index of the right one}. A choice follows the context
        after one space; its score is the log-likelihood of its tokens.
    questions, acc (the share where the right choice has the highest score), acc_norm (the highest score per
    character of the choice, the space before it not counted), acc_stderr and acc_norm_stderr (standard errors).
    """
    pairs = [(question["context"], DELIMITER + choice) for question in questions for choice in question["choices"]]
    results = iter(log_likelihoods(model, some([continuation_row(model, *pair) for pair in pairs]), batch_size, progress))
    acc, acc_norm = [], []
    for question in questions:
        scores = np.array([next(results)[0] for _ in question["choices"]])
        lengths = np.array([len(choice) for choice in question["choices"]])
        acc.append(int(scores.argmax()) == question["label"])
        acc_norm.append(int((scores / lengths).argmax()) == question["label"])
    return {
        "questions": len(questions),
        "acc": mean(acc),
        "acc_stderr": standard_error(acc),
        "acc_norm": mean(acc_norm),
        "acc_norm_stderr": standard_error(acc_norm),
    }


def some(rows):
    """Return the rows; raises NeoError where there are none."""
    if not rows:
        raise NeoError("there is nothing to score: the list is empty.")
    return rows


def mean(hits):
    """Return the share of hits."""
    return sum(hits) / len(hits)


def standard_error(hits):
    """Return the standard error of the mean, sqrt(sum (x - mean)^2 / (n - 1) / n); None for a single x."""
    if len(hits) < 2:
        return None
    return float(np.std(hits, ddof=1)) / math.sqrt(len(hits))


def exp(nats):
    """Return e to so many nats, infinite where no float can hold it."""
    return math.exp(nats) if nats < 700 else math.inf


# JSON lines


def read_texts(file):
    """Read the JSON lines {"text": "..."} of a LAMBADA-style file and return the texts; raises NeoError naming the line."""
    wanted = '{"text": "..."}, the text not empty'
    return [line["text"] for line in read_json_lines(file, wanted, lambda line: is_text(line["text"]) and line["text"])]


def read_questions(file):
    """Read the JSON lines of a multiple-choice file and return them as dicts; raises NeoError naming the line."""
    wanted = '{"context": "...", "choices": ["...", ...], "label": 0}, the label an index of choices, no choice empty'
    return read_json_lines(file, wanted, is_question)


def is_question(line):
    """Return whether an object is a question as `evaluate_choices` wants it."""
    choices, label = line["choices"], line["label"]
    right = isinstance(choices, list) and all(is_text(choice) and choice for choice in choices)
    return right and type(label) is int and 0 <= label < len(choices) and is_text(line["context"])


def is_text(value):
    """Return whether a value is a str that UTF-8 can hold."""
    try:
        return isinstance(value, str) and value.encode("utf-8") is not None
    except UnicodeEncodeError:  # half of a pair, as in "\ud83d"
        return False


def read_json_lines(file, wanted, is_right):
    """Return the objects of a file, one JSON object a line, each of them right; empty lines are passed over.

    Raises NeoError with file and line, and with the sentence `wanted`, for the first that is not, and for no line at all.
    """
    found = []
    try:
        with open(file, encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    found.append(read_json_line(line, f"{file}, line {number}", wanted, is_right))
    except (OSError, UnicodeDecodeError) as error:
        raise NeoError(f"{file} cannot be read as UTF-8 text: {error}.") from None
    if not found:
        raise NeoError(f"{file} is empty: each line should be {wanted}.")
    return found


def read_json_line(line, where, wanted, is_right):
    """Return the object of one line."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NeoError(f"{where} is not JSON ({error}): it should be {wanted}.") from None
    try:
        right = is_right(value)
    except (KeyError, TypeError, IndexError):  # no object, or one that lacks a key
        right = False
    if not right:
        raise NeoError(f"{where} should be {wanted}; it is {line.strip():.60}")
    return value


# The command


def build_parser():
    """Return the parser of the command's arguments."""
    parser = OneLineParser(
        prog="python -m neo_np.evaluate",
        description="Say how good a GPT-Neo model is, in the terms of lm-evaluation-harness. "
        "Each kind has a --help of its own, which says how its numbers are defined.",
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="text | lambada | choices")

    add = kinds.add_parser(
        "text",
        help="loss, perplexity and bits per byte of text files",
        description="Loss (mean nats per token), perplexity (e to the loss) and bits per byte (all bits / UTF-8 bytes) of text "
        "files. Each document is scored by itself, each of its tokens once, from at least window - stride tokens "
        "before it or all that there are; <|endoftext|> stands between documents and before each, and is not scored.",
    ).add_argument
    add("paths", nargs="+", metavar="PATH", help="a text file, or a folder of *.txt files")
    add("--window", type=int, metavar="N", help="tokens the model looks at (default: as many as it can)")
    add("--stride", type=int, metavar="N", help="tokens the window moves by (default: half the window; less is slower, better)")

    add = kinds.add_parser(
        "lambada",
        help="last words",
        description="Accuracy (each token of the last word is the likeliest one) and perplexity per word of the words after "
        'the last space. FILE has a JSON object on each line: {"text": "..."}.',
    ).add_argument
    add("file", metavar="FILE", help="a file of JSON lines")

    add = kinds.add_parser(
        "choices",
        help="multiple choice",
        description="The share of questions where the right choice has the highest log-likelihood (acc), and where it has the "
        "highest per character (acc_norm), each with its standard error. FILE has a JSON object on each line: "
        '{"context": "...", "choices": ["...", "..."], "label": 0}; context and choice are joined by one space.',
    ).add_argument
    add("file", metavar="FILE", help="a file of JSON lines")

    for kind in kinds.choices.values():
        add = kind.add_argument
        add("--model", metavar="NAME", help="a folder, a name in weights/, or a hub name (default: the one that ships)")
        add("--tokenizer", metavar="NAME", help="take the tokenizer from another checkpoint")
        add("--batch-size", type=int, default=BATCH_SIZE, metavar="N", help="texts at a time; the results are the same")
        add("--json", action="store_true", help="print one JSON object")
    return parser


def main(arguments=None):
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C."""
    return run_command(lambda: run(build_parser().parse_args(arguments)))


def run(args):
    """Read the files, load the model, evaluate and print; returns the exit status."""
    if args.kind == "text":
        data = [document for file in text_files(args.paths) for document in documents(file)]
    else:
        data = {"lambada": read_texts, "choices": read_questions}[args.kind](args.file)
    model = neo_np.load(args.model, args.tokenizer)
    with progress_bar("evaluating") as progress:
        if args.kind == "text":
            result = evaluate_text(model, data, args.window, args.stride, args.batch_size, progress)
        else:
            evaluate = {"lambada": evaluate_lambada, "choices": evaluate_choices}[args.kind]
            result = evaluate(model, data, args.batch_size, progress)
    if args.json:
        print(json.dumps({"model": repr(model), **result}, indent=2))
    else:
        for name, value in result.items():
            print(f"{name:<16}", f"{value:,.4f}" if isinstance(value, float) else "-" if value is None else f"{value:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

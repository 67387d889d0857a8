"""How good a model is: bits per byte of texts, last words (LAMBADA), multiple choice; and `python -m neo_np.evaluate`.

All three ask one thing, `log_likelihoods`: how probable is the end of a text after its beginning? They are defined as
lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness) defines its tasks; `neo_np/harness.py` lets
that program itself run a model.
"""

import json

from neo_np.checkpoint.loading import load
from neo_np.corpus import documents, text_files
from neo_np.evaluate.json_lines import read_questions, read_texts
from neo_np.evaluate.likelihood import BATCH_SIZE
from neo_np.evaluate.tasks import evaluate_choices, evaluate_lambada
from neo_np.evaluate.text import evaluate_text
from neo_np.terminal import OneLineParser, progress_bar, run_command


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
    model = load(args.model, args.tokenizer)
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

"""The command `python -m neo_np.evaluate`: its arguments, and what it prints."""

import argparse
import json
from collections.abc import Sequence

from neo_np.checkpoint.loading import load, load_for_text
from neo_np.evaluate.heads import evaluate_heads
from neo_np.evaluate.json_lines import read_questions, read_texts
from neo_np.evaluate.likelihood import BATCH_SIZE
from neo_np.evaluate.tasks import evaluate_choices, evaluate_lambada
from neo_np.evaluate.text import evaluate_text
from neo_np.terminal import (
    OneLineParser,
    filled,
    naming_options,
    positive,
    progress_bar,
    run_command,
    whole,
    with_option_names,
)
from neo_np.tokenizer.corpus import documents, text_files

DESCRIPTION = """Measure a GPT-Neo model. Each kind of measurement has its own --help, which defines
its numbers; text, lambada and choices are defined as in lm-evaluation-harness."""

EXAMPLES = """examples:
  python -m neo_np.evaluate text my_texts/valid.txt
  python -m neo_np.evaluate heads --model gpt-neo-125M
"""

TEXT = """Print loss (mean nats per token), perplexity (e to the loss) and bits per byte (all
bits / UTF-8 bytes) of text files. Each document is scored by itself, and each of its
tokens once: with at least window - stride + 1 tokens before it, or all that exist.
<|endoftext|> separates documents and begins each of them; it is not scored."""

TEXT_EXAMPLES = """examples:
  python -m neo_np.evaluate text my_texts/
  python -m neo_np.evaluate text valid.txt --window 128 --stride 1 --json
"""

LAMBADA = """Print how well the model guesses the last word of each text, the word after the last
space: acc (the share of texts in which every token of the word is the likeliest one),
its standard error, and perplexity per word. FILE has a JSON object on each line:
{"text": "..."}."""

LAMBADA_EXAMPLES = """examples:
  python -m neo_np.evaluate lambada lambada.jsonl
  python -m neo_np.evaluate lambada lambada.jsonl --model gpt-neo-125M --batch-size 16
"""

CHOICES = """Print the share of questions in which the right choice has the highest log-likelihood
(acc), and in which it has the highest per character (acc_norm), with their standard
errors. FILE has a JSON object on each line:
{"context": "...", "choices": ["...", "..."], "label": 0}.
The model reads the context, one space and a choice."""

CHOICES_EXAMPLES = """examples:
  python -m neo_np.evaluate choices questions.jsonl
  python -m neo_np.evaluate choices questions.jsonl --model gpt-neo-125M --json
"""

HEADS = """Print what each attention head looks at, on 20 sequences of random tokens: <|endoftext|>,
64 ids drawn uniformly from the ordinary tokens, and the same 64 ids again (fewer if the
model has fewer positions). Each number is a mean over the sequences and their tokens:

  previous    weight on the token before
  induction   weight that a token of the second copy gives to the token after its first
              occurrence, which is the token that comes next
  first       weight on the first token of the sequence
  distance    tokens looked back; 0 is the token itself

The first token is left out, because it sees only itself. The losses are in nats per token.
A head with a high induction score and a smaller loss of the second copy show that the
model copies. A head of a local layer has the induction score 0 if its window is shorter
than a copy. Olsson et al. 2022, "In-context Learning and Induction Heads" (arXiv
2209.11895), describe both kinds of heads."""

HEADS_EXAMPLES = """examples:
  python -m neo_np.evaluate heads
  python -m neo_np.evaluate heads --model gpt-neo-125M --json
"""

COLUMNS = {"previous_token": "previous", "induction": "induction", "first_token": "first", "distance": "distance"}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = OneLineParser(prog="python -m neo_np.evaluate", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=raw)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="text | lambada | choices | heads")

    def add_kind(name: str, help: str, description: str, epilog: str) -> argparse.ArgumentParser:
        return kinds.add_parser(name, help=help, description=description, epilog=epilog, formatter_class=raw)

    text = add_kind("text", "loss, perplexity and bits per byte of text files", TEXT, TEXT_EXAMPLES)
    text.add_argument("paths", nargs="+", type=filled, metavar="PATH", help="a text file, or a folder of *.txt files")
    text.add_argument("--window", type=positive, metavar="N", help="tokens that the model sees (default: all its positions)")
    text.add_argument("--stride", type=positive, metavar="N", help="tokens scored in each window (default: half the window)")
    lambada = add_kind("lambada", "the last word of texts", LAMBADA, LAMBADA_EXAMPLES)
    choices = add_kind("choices", "multiple choice", CHOICES, CHOICES_EXAMPLES)
    heads = add_kind("heads", "what the attention heads look at", HEADS, HEADS_EXAMPLES)
    heads.add_argument("--seed", type=whole, default=0, metavar="N", help="of the random tokens (default: 0)")
    for kind in (lambada, choices):
        kind.add_argument("file", type=filled, metavar="FILE", help="a file of JSON lines")
    for kind in (text, lambada, choices, heads):
        add = kind.add_argument
        add(
            "--model",
            type=filled,
            metavar="NAME",
            help="a folder, a name in weights/, or a hub name (default: the one that ships)",
        )
        add(
            "--tokenizer",
            type=filled,
            metavar="NAME",
            help="the checkpoint that the tokenizer comes from (default: that of --model)",
        )
        add("--json", action="store_true", help="print one JSON object (default: a table)")
    for kind in (text, lambada, choices):
        help = f"texts computed together; it does not change the results (default: {BATCH_SIZE})"
        kind.add_argument("--batch-size", type=positive, default=BATCH_SIZE, metavar="N", help=help)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C."""
    return run_command(lambda: run(build_parser().parse_args(arguments)), rename=name_tokenizer)


def name_tokenizer(message: str) -> str:
    """Return a message about a missing tokenizer with the option that gives one."""
    return with_option_names(message, {"tokenizer=FOLDER": "--tokenizer FOLDER"})


def run(args: argparse.Namespace) -> int:
    """Read the files, load the model, evaluate and print; return the exit status."""
    if args.kind == "text":
        data = [document for file in text_files(args.paths) for document in documents(file)]
    elif args.kind != "heads":
        data = {"lambada": read_texts, "choices": read_questions}[args.kind](args.file)
    model = (load if args.kind == "heads" else load_for_text)(args.model, args.tokenizer)
    with progress_bar("evaluating") as progress:
        if args.kind == "heads":
            result = evaluate_heads(model, args.seed, progress)
        elif args.kind == "text":
            with naming_options({"window": "--window", "stride": "--stride"}):
                result = evaluate_text(model, data, args.window, args.stride, args.batch_size, progress)
        else:
            evaluate = {"lambada": evaluate_lambada, "choices": evaluate_choices}[args.kind]
            result = evaluate(model, data, args.batch_size, progress)
    if args.json:
        print(json.dumps({"model": repr(model), **result}, indent=2))
        return 0
    heads = result.pop("heads", None)
    for name, value in result.items():
        print(f"{name:<16}", f"{value:,.4f}" if isinstance(value, float) else "-" if value is None else f"{value:,}")
    if heads:
        print_heads(heads)
    return 0


def print_heads(heads: list[dict]) -> None:
    """Print a table with a line for each head."""
    print("\nlayer  head  attention" + "".join(f"  {title:>9}" for title in COLUMNS.values()))
    for head in heads:
        numbers = "".join(f"  {head[name]:9.3f}" for name in COLUMNS)
        print(f"{head['layer']:5}  {head['head']:4}  {head['attention']:<9}{numbers}")

"""The arguments of `python -m neo_np.train`, and the `Config` and `TrainingOptions` that they ask for."""

import argparse
from collections.abc import Iterable

from neo_np.errors import NeoError
from neo_np.gpt_neo.config import Config, check_size
from neo_np.terminal import OneLineParser, any_text, filled, number, path, positive, share, whole
from neo_np.train.environment import default_threads
from neo_np.train.trainer import TrainingOptions

HELD_OUT = 0.05  # the share of the text to validate on, if --valid gives no other
NEW_MODEL = (  # options that make no sense with --init
    "layers",
    "hidden_size",
    "heads",
    "attention",
    "window_size",
    "positions",
    "activation",
    "sinusoidal_positions",
    "untied",
    "vocab_size",
    "tokenizer",
)
DESCRIPTION = """Train a GPT-Neo model on text files, from random weights or from another checkpoint.
The folder of the run gets checkpoints step-N, which every command takes as --model, and log.jsonl."""
EXAMPLES = """examples:
  python -m neo_np.train my_texts/ --out runs/mine --steps 5000
  python -m neo_np.train --resume runs/mine
"""
PATHS = "text", "out", "resume", "valid", "init"
OPTION_NAMES = {  # settings whose option has another name
    "num_layers": "--layers",
    "num_heads": "--heads",
    "max_position_embeddings": "--positions",
    "activation_function": "--activation",
}
# What options of other programs are called here.
MEANT = {
    "--learning-rate": "lr max-lr",
    "--steps": "epochs num-epochs num-train-epochs max-steps max-iters iters iterations",
    "--batch-size": "bs batch",
    "--init": "model model-name-or-path checkpoint from",
    "--resume": "continue resume-from-checkpoint",
    "--out": "output output-dir save-dir",
    "--hidden-size": "n-embd d-model dim embed-dim channels",
    "--heads": "n-head num-attention-heads",
    "--sequence-length": "block-size context-length seq-len max-length",
    "--validate-every": "eval-every eval-interval eval-steps",
    "--save-every": "save-steps save-interval",
    "--clip": "grad-clip max-grad-norm",
    "--weight-decay": "wd",
    "--threads": "workers num-workers jobs processes",
}
ADVICE = {f"--{name}": f"did you mean {option}?" for option, names in MEANT.items() for name in names.split()}
ADVICE |= dict.fromkeys(
    ["--text", "--data", "--dataset", "--train", "--train-file"], "the text has no option: give only its path"
)
INTERVALS = "validate_every", "sample_every", "sample_prompt", "save_every", "keep"


def build_parser() -> OneLineParser:
    """Return the parser of the command's arguments."""
    parser = OneLineParser(
        prog="python -m neo_np.train",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        advice=ADVICE,
    )
    add = parser.add_argument
    add("text", nargs="*", type=filled, help="text files, or folders of *.txt, with <|endoftext|> between documents")
    add("--out", type=path, metavar="FOLDER", help="the folder of the run, new or empty")
    add(
        "--resume",
        type=path,
        metavar="FOLDER",
        help="continue the run in this folder from its newest checkpoint, with its own options",
    )
    add(
        "--valid",
        type=path,
        metavar="PATH",
        nargs="+",
        help=f"text to validate on (default: the last {HELD_OUT:.0%}% of the text)",
    )
    add("--init", type=filled, metavar="NAME", help="start from this checkpoint, a folder or a name (default: random weights)")
    add_model_options(parser.add_argument_group("the model (not with --init)"))
    add_run_options(parser.add_argument_group("the run"))
    add_report_options(parser.add_argument_group("reports and checkpoints"))
    return parser


def add_model_options(group: argparse._ArgumentGroup) -> None:
    """Add the options that describe a new model."""
    add = group.add_argument
    add("--layers", type=positive, metavar="N", help="blocks (default: 4)")
    add("--hidden-size", type=positive, metavar="C", help="channels (default: 192)")
    add("--heads", type=positive, metavar="H", help="attention heads (default: 6)")
    add("--attention", type=filled, metavar="KINDS", help="kinds of attention layers, repeated in turn (default: global,local)")
    add("--window-size", type=positive, metavar="N", help="tokens that a local layer sees (default: 64)")
    add("--positions", type=positive, metavar="N", help="the most tokens that a text may have (default: 256)")
    add("--activation", type=filled, metavar="NAME", help="activation function of the MLP (default: gelu_new)")
    add(
        "--sinusoidal-positions",
        action="store_true",
        help="start with sinusoids as position embeddings: heads find the token before sooner (default: random numbers)",
    )
    add("--untied", action="store_true", help="use an output embedding of its own (default: the token embedding)")
    add("--vocab-size", type=positive, metavar="V", help="tokens that the tokenizer learns from the text (default: 2048)")
    add(
        "--tokenizer",
        type=filled,
        metavar="NAME",
        help="use the tokenizer of this checkpoint (default: learn one from the text)",
    )


def add_run_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of `TrainingOptions`."""
    add = group.add_argument
    add("--steps", type=positive, metavar="N", default=2000, help="updates (default: 2000)")
    add("--batch-size", type=positive, metavar="B", default=16, help="windows of text in each update (default: 16)")
    add("--sequence-length", type=positive, metavar="T", help="tokens of a window (default: all positions, at most 256)")
    add(
        "--micro-batch-size",
        type=positive,
        metavar="N",
        help="windows that a thread computes at a time (default: as many as have 512 tokens)",
    )
    add("--learning-rate", type=number, metavar="X", help="the highest (default: 2e-3, or 1e-4 with --init)")
    add(
        "--min-learning-rate",
        "--last-learning-rate",
        type=number,
        metavar="X",
        default=0.0,
        help="the last one, where the cosine ends (default: 0)",
    )
    add("--warmup-steps", type=whole, metavar="N", help="steps until the highest is reached (default: 2%% of all)")
    add("--weight-decay", type=number, metavar="X", default=0.1, help="of AdamW, for matrices only (default: 0.1)")
    add("--no-decay-embeddings", action="store_true", help="no weight decay for embeddings (default: they decay too)")
    add("--beta1", type=share, metavar="X", default=0.9, help="of AdamW, for the mean of the gradients (default: 0.9)")
    add("--beta2", type=share, metavar="X", default=0.95, help="of AdamW, for the mean of their squares (default: 0.95)")
    add("--clip", type=number, metavar="X", default=1.0, help="the greatest gradient norm, 0 for no limit (default: 1)")
    add(
        "--dropout",
        type=share,
        metavar="P",
        help="share of activations set to 0 (default: as in the config; 0 in a new one)",
    )
    add(
        "--repeated-windows",
        type=share,
        metavar="P",
        default=0.0,
        help="share of the windows that repeat one short passage, which teaches the model to copy (default: 0)",
    )
    add("--seed", type=whole, metavar="N", default=0, help="of weights, batches and dropout (default: 0)")
    add("--threads", type=positive, metavar="N", help="micro-batches computed at the same time (default: one per processor)")


def add_report_options(group: argparse._ArgumentGroup) -> None:
    """Add the options that say how often the run shows and saves something."""
    add = group.add_argument
    add("--validate-every", type=positive, metavar="N", default=250, help="steps between validations (default: 250)")
    add("--sample-every", type=positive, metavar="N", default=500, help="steps between samples of text (default: 500)")
    add(
        "--sample-prompt",
        type=any_text,
        metavar="TEXT",
        default="",
        help="the beginning of each sample (default: none, a new document)",
    )
    add("--save-every", type=positive, metavar="N", default=250, help="steps between checkpoints (default: 250)")
    add("--keep", type=positive, metavar="N", default=2, help="how many of the newest checkpoints to keep (default: 2)")


def as_options(names: Iterable[str]) -> str:
    """Return settings as the options that a user types: hidden_size and heads become "--hidden-size, --heads"."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def all_option_names(args: argparse.Namespace) -> dict[str, str]:
    """Return {name of a setting: the option as a user types it}, for errors."""
    return {name: as_options([name]) for name in vars(args) if name not in PATHS} | OPTION_NAMES


def ignored_options(args: argparse.Namespace) -> list[str]:
    """Return a sentence for each option that was given and changes nothing."""
    kinds = (args.attention or "global,local").split(",")
    warmup_steps = args.warmup_steps or 0
    ignored = {
        "--vocab-size is ignored: --tokenizer has its own vocabulary": args.vocab_size and args.tokenizer,
        "--window-size is ignored: no layer is local": args.window_size and "local" not in kinds,
        "--no-decay-embeddings is ignored: --weight-decay is 0": args.no_decay_embeddings and not args.weight_decay,
        "--min-learning-rate is ignored: the warm-up takes all steps": args.min_learning_rate and warmup_steps >= args.steps,
    }
    return [sentence for sentence, is_so in ignored.items() if is_so]


def new_config(args: argparse.Namespace) -> Config:
    """Return the `Config` of a new model. Its vocabulary is provisional until there is a tokenizer."""
    kinds, layers = (args.attention or "global,local").split(","), args.layers or 4
    check_size("num_layers", layers)  # before a list gets as many entries
    return Config(
        vocab_size=args.vocab_size or 2048,
        hidden_size=args.hidden_size or 192,
        num_layers=layers,
        num_heads=args.heads or 6,
        max_position_embeddings=args.positions or 256,
        attention_layers=[kinds[layer % len(kinds)] for layer in range(layers)],
        window_size=args.window_size or 64,
        activation_function=args.activation or "gelu_new",
        tie_word_embeddings=not args.untied,
        bos_token_id=None,
        eos_token_id=None,
        other={"initializer_range": 0.02, "embed_dropout": 0.0, "attention_dropout": 0.0, "resid_dropout": 0.0},
    )


def training_options(args: argparse.Namespace, config: Config) -> TrainingOptions:
    """Return the `TrainingOptions` that the arguments ask for."""
    length = args.sequence_length or min(256, config.max_position_embeddings)
    if length > config.max_position_embeddings:
        raise NeoError(f"--sequence-length is {length}, and the model has {config.max_position_embeddings} positions.")
    return TrainingOptions(
        steps=args.steps,
        batch_size=args.batch_size,
        sequence_length=length,
        learning_rate=(1e-4 if args.init else 2e-3) if args.learning_rate is None else args.learning_rate,
        warmup_steps=args.steps // 50 if args.warmup_steps is None else args.warmup_steps,
        min_learning_rate=args.min_learning_rate,
        micro_batch_size=args.micro_batch_size,
        clip=args.clip,
        betas=(args.beta1, args.beta2),
        weight_decay=args.weight_decay,
        decay_embeddings=not args.no_decay_embeddings,
        repeated_windows=args.repeated_windows,
        seed=args.seed,
        threads=args.threads or default_threads(),
    )

"""`python -m neo_np.train`: from text files to a checkpoint, from nothing or from another checkpoint, with --resume."""

import dataclasses
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from neo_np.checkpoint.find import find_checkpoint
from neo_np.checkpoint.loading import load
from neo_np.corpus import read_pieces, text_files
from neo_np.errors import NeoError
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.params import random_params, sinusoids
from neo_np.model import Model
from neo_np.terminal import OneLineParser, number, positive, progress_bar, run_command, share, whole
from neo_np.tokenizer.special_tokens import END_OF_TEXT
from neo_np.tokenizer.tokenizer import Tokenizer
from neo_np.train.data import load_tokens, tokenize_files
from neo_np.train.environment import default_threads
from neo_np.train.runs import Log, newest_sentence, resume, save_step, steps
from neo_np.train.trainer import Interrupted, Trainer, TrainingOptions
from neo_np.train.validation import validate, validation_windows

TRAIN, VALID = "train.npy", "valid.npy"
NEW_MODEL = (
    "layers hidden_size heads attention window_size positions activation sinusoidal_positions untied vocab_size tokenizer"
).split()
SHOW_EVERY = 10  # steps
VALIDATION_WINDOWS = 128
SAMPLE_LENGTH = 60  # tokens
HELD_OUT = 0.05  # of the text, where no other is given to validate on


def build_parser():
    """Return the parser of the command's arguments."""
    parser = OneLineParser(
        prog="python -m neo_np.train",
        description="Train a GPT-Neo model on text files, from nothing or from another checkpoint.",
        epilog="A run's folder gets checkpoints step-N, each of which every command takes as --model, and log.jsonl.",
    )
    add = parser.add_argument
    add("text", nargs="*", help="text files, or folders of *.txt, with <|endoftext|> between documents")
    add("--out", metavar="FOLDER", help="the folder of the run")
    add("--resume", metavar="FOLDER", help="go on with the run in this folder where it stopped, with its own options")
    add("--valid", metavar="PATH", nargs="+", help=f"text to validate on (default: the last {HELD_OUT:.0%}% of the text)")
    add("--init", metavar="NAME", help="start from this checkpoint, a folder or a name, instead of from nothing")

    model = parser.add_argument_group("the model (from nothing)")
    add = model.add_argument
    add("--layers", type=positive, metavar="N", help="blocks (default: 4)")
    add("--hidden-size", type=positive, metavar="C", help="channels (default: 192)")
    add("--heads", type=positive, metavar="H", help="attention heads (default: 6)")
    add("--attention", metavar="KINDS", help="kinds of attention layers, repeated in turn (default: global,local)")
    add("--window-size", type=positive, metavar="N", help="tokens that a local layer sees (default: 64)")
    add("--positions", type=positive, metavar="N", help="the longest text in tokens (default: 256)")
    add("--activation", metavar="NAME", help="activation function (default: gelu_new)")
    add(
        "--sinusoidal-positions",
        action="store_true",
        help="begin with position embeddings that are sinusoids, not random numbers: heads find the token before sooner",
    )
    add("--untied", action="store_true", help="an output embedding of its own, not that of the tokens")
    add("--vocab-size", type=positive, metavar="V", help="tokens that the tokenizer learns from the text (default: 2048)")
    add("--tokenizer", metavar="NAME", help="take the tokenizer of this checkpoint instead of learning one")

    run = parser.add_argument_group("the run")
    add = run.add_argument
    add("--steps", type=positive, metavar="N", default=2000, help="updates (default: 2000)")
    add("--batch-size", type=positive, metavar="B", default=16, help="windows of text for each update (default: 16)")
    add("--sequence-length", type=positive, metavar="T", help="tokens of a window (default: all positions, at most 256)")
    add(
        "--micro-batch-size",
        type=positive,
        metavar="N",
        help="windows at a time, gradients add up (default: 512 tokens' worth)",
    )
    add("--learning-rate", type=number, metavar="X", help="the highest (default: 2e-3 from nothing, 1e-4 with --init)")
    add(
        "--min-learning-rate",
        "--last-learning-rate",
        type=number,
        metavar="X",
        default=0.0,
        help="where the cosine ends (default: 0)",
    )
    add("--warmup-steps", type=whole, metavar="N", help="steps until it is reached (default: a fiftieth of all)")
    add("--weight-decay", type=number, metavar="X", default=0.1, help="AdamW's, for matrices alone (default: 0.1)")
    add("--no-decay-embeddings", action="store_true", help="and not for the embeddings")
    add("--beta1", type=share, metavar="X", default=0.9, help="AdamW's memory of gradients (default: 0.9)")
    add("--beta2", type=share, metavar="X", default=0.95, help="and of their squares (default: 0.95)")
    add("--clip", type=number, metavar="X", default=1.0, help="greatest norm of the gradients (default: 1; 0: any)")
    add("--dropout", type=share, metavar="P", help="share of activations dropped (default: as the config has it, 0)")
    add(
        "--repeated-windows",
        type=share,
        metavar="P",
        default=0.0,
        help="share of the windows that repeat one short passage, which teaches the model to copy (default: 0)",
    )
    add("--seed", type=whole, metavar="N", default=0, help="of weights, batches and dropout (default: 0)")
    add("--threads", type=positive, metavar="N", help="micro-batches computed side by side (default: one a processor)")

    show = parser.add_argument_group("what it shows and keeps")
    add = show.add_argument
    add("--validate-every", type=positive, metavar="N", default=250, help="steps between validations (default: 250)")
    add("--sample-every", type=positive, metavar="N", default=500, help="steps between samples of text (default: 500)")
    add("--sample-prompt", metavar="TEXT", default="", help="how samples begin (default: as a document does)")
    add("--save-every", type=positive, metavar="N", default=250, help="steps between checkpoints (default: 250)")
    add("--keep", type=positive, metavar="N", default=2, help="newest checkpoints that are kept (default: 2)")
    return parser


def main(arguments=None):
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C (which saves)."""
    return run_command(lambda: run(build_parser(), arguments))


def run(parser, arguments):
    """Train, as the arguments say; returns the exit status."""
    args = parser.parse_args(arguments)
    if args.resume:
        alone = vars(parser.parse_args(["--resume", args.resume]))
        if given := [name for name, value in vars(args).items() if value != alone[name]]:
            raise NeoError(f"--resume goes on with the run's own text and options: leave out {option_names(given)}.")
        folder = Path(args.resume)
        tokens, valid_tokens = load_texts(folder) if steps(folder) else ([], [])
        trainer, state = resume(folder, tokens)
        if trainer.step == trainer.options.steps:
            raise NeoError(f"the run in {folder} is complete. To train its last checkpoint on, start a new run with --init.")
        return train(trainer, valid_tokens, folder, state["intervals"], Log(folder, trainer.step))
    if not args.out or not args.text:
        raise NeoError("give the text and the folder of the run, as in python -m neo_np.train TEXT --out FOLDER.")
    folder = Path(args.out)
    if steps(folder):
        raise NeoError(f"{folder} holds a run already: go on with it by --resume {folder}, or choose another --out.")
    trainer, valid_tokens = prepare(args, folder)
    intervals = {name: getattr(args, name) for name in "validate_every sample_every sample_prompt save_every keep".split()}
    return train(trainer, valid_tokens, folder, intervals, Log(folder))


def prepare(args, folder):
    """Return the `Trainer` of a new run and the tokens to validate on; writes the token files into the folder."""
    files, valid_files = text_files(args.text), text_files(args.valid) if args.valid else []
    there = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise NeoError(f"the folder {folder} is not empty: empty it, or choose another --out.")
    except OSError as error:
        raise NeoError(f"the folder {folder} cannot be written: {error.strerror}.") from None
    try:
        model = start_model(args, files)
        options = training_options(args, model.config)
        sample(model, args.sample_prompt, length=1, seed=0)  # a prompt that cannot be continued is refused at once
        for name, of_files in {TRAIN: files, VALID: valid_files}.items():
            if of_files:
                with progress_bar(f"tokenizing {name}") as progress:
                    tokenize_files(of_files, model.tokenizer, folder / name, progress=progress)
        tokens, valid_tokens = load_texts(folder)
        if len(tokens) <= options.sequence_length:
            raise NeoError(
                f"the text has {len(tokens)} tokens to train on, and a window takes {options.sequence_length + 1}: give more "
                "text, or a shorter --sequence-length."
            )
        if valid_files and len(valid_tokens) <= options.sequence_length:
            raise NeoError(f"the text of --valid has {len(valid_tokens)} tokens: give more than {options.sequence_length}.")
    except BaseException:  # Ctrl-C too
        for name in (TRAIN, VALID):
            (folder / name).unlink(missing_ok=True)
        if not there:
            folder.rmdir()
        raise
    return Trainer(model, tokens, options), valid_tokens


def start_model(args, files):
    """Return the model that a run begins with: the checkpoint of --init, or one that has not learnt anything."""
    if args.init:
        given = [name for name in NEW_MODEL if getattr(args, name)]
        if given:
            raise NeoError(f"--init takes model and tokenizer as they are: leave out {option_names(given)}.")
        model = load(args.init)
    else:
        config = new_config(args)  # learning the tokenizer may take a minute: what is wrong is said before
        training_options(args, config)
        if args.tokenizer:
            tokenizer = Tokenizer.load(find_checkpoint(args.tokenizer, weights_wanted=False))
        else:
            tokenizer = Tokenizer.train(pieces_to_learn_from(files), config.vocab_size)
        end = tokenizer.special_tokens.get(END_OF_TEXT)
        config = dataclasses.replace(config, vocab_size=max(tokenizer.id_to_token) + 1, bos_token_id=end, eos_token_id=end)
        params = random_params(config, args.seed)
        if args.sinusoidal_positions:
            params.wpe.weight[:] = sinusoids(*params.wpe.weight.shape)
        model = Model(config, params, tokenizer)
    if args.dropout is not None:
        rates = dict.fromkeys(["embed_dropout", "attention_dropout", "resid_dropout"], args.dropout)
        model.config = dataclasses.replace(model.config, other=model.config.other | rates)
    return model


def option_names(names):
    """Return options as they are typed: hidden_size as --hidden-size."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def pieces_to_learn_from(files):
    """Yield the text of all files, and say so when the first piece is asked for."""
    print(f"learning the tokenizer from {len(files)} files ...", file=sys.stderr)
    for file in files:
        yield from (piece for piece, _ in read_pieces(file))


def new_config(args):
    """Return the `Config` of a new model; what depends on the tokenizer is not final."""
    kinds, layers = (args.attention or "global,local").split(","), args.layers or 4
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


def training_options(args, config):
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


def load_texts(folder):
    """Return the tokens of a run to train on and those to validate on, both memory-mapped."""
    tokens = load_tokens(folder / TRAIN)
    if (folder / VALID).exists():
        return tokens, load_tokens(folder / VALID)
    kept = len(tokens) - int(HELD_OUT * len(tokens))
    return tokens[:kept], tokens[kept:]


def train(trainer, valid_tokens, folder, intervals, log):
    """Make the steps that are left; whatever stops them, what was done is saved first. Returns the exit status."""
    o = trainer.options
    windows = validation_windows(valid_tokens, o.sequence_length + 1, VALIDATION_WINDOWS)
    print(f"{trainer.model}, {len(trainer.tokens):,} tokens, {o.threads} threads; step {trainer.step} of {o.steps}", flush=True)
    if not len(windows):
        print("no validation: the last part of the text, which is held out, is shorter than a window", flush=True)

    def save():
        trainer.check()
        return save_step(trainer, folder, {"intervals": intervals}, intervals["keep"])

    try:
        with stopping_on_signals(trainer.stop):
            try:
                make_steps(trainer, windows, intervals, log, save)
            except Interrupted:
                path = save()
                print(f"stopped; saved {path}. Go on with python -m neo_np.train --resume {folder}", flush=True)
                return 130
            except OSError:  # nothing can be printed: at Ctrl-C the reader goes too, as in `| tee`
                save()
                raise
    except NeoError as error:
        raise NeoError(f"{error} {newest_sentence(folder)}") from None
    path = steps(folder)[trainer.step]
    print(f'done: {path}. Try python -m neo_np.generate --model {path} "Once upon a time"')
    return 0


def make_steps(trainer, windows, intervals, log, save):
    """Make the steps that are left, with all that is shown, logged and saved in between."""
    o, began, first = trainer.options, time.perf_counter(), trainer.step

    def due(every):
        return trainer.step == o.steps or trainer.step % every == 0

    save()  # the beginning of a new run
    while trainer.step < o.steps:
        entry = trainer.train_step()
        log.write(entry)
        if due(SHOW_EVERY) or trainer.step == first + 1:
            left = (time.perf_counter() - began) / (trainer.step - first) * (o.steps - trainer.step)
            print(line_of(entry, o.steps, left), flush=True)
        if any(due(intervals[name]) for name in ("validate_every", "sample_every")):
            trainer.check()
        if due(intervals["validate_every"]) and len(windows):
            show_validation(trainer.model, windows, trainer.step, log)
        if due(intervals["sample_every"]):
            show_sample(trainer.model, intervals["sample_prompt"], trainer.step, log)
        if due(intervals["save_every"]):
            save()


def show_validation(model, windows, step, log):
    """Print and log the loss on windows that the model was not trained on."""
    result = validate(model, windows)
    log.write({"step": step} | result)
    print(
        f"validation: loss {result['valid_loss']:.4f} nats per token, {result['bits_per_byte']:.4f} bits per byte", flush=True
    )


def sample(model, prompt, length, seed):
    """Return the prompt with so many tokens that the model writes."""
    return model.generate(prompt, max_new_tokens=length, do_sample=True, seed=seed, slide=True)


def show_sample(model, prompt, step, log):
    """Print and log some text that the model writes."""
    text = sample(model, prompt, SAMPLE_LENGTH, step)
    log.write({"step": step, "sample": text})
    print(f"sample: {text}", flush=True)


def line_of(entry, steps, left):
    """Return what is shown of a step; left: seconds until the end."""
    return (
        f"step {entry['step']:>{len(str(steps))}}/{steps}  loss {entry['loss']:.4f}  smoothed {entry['smoothed_loss']:.4f}  "
        f"{entry['tokens_per_second']:,.0f} tokens/s  rate {entry['learning_rate']:.2e}  norm {entry['norm']:.2f}  "
        f"left {time_text(left)}"
    )


def time_text(seconds):
    """Return a time as a person would say it: 5 s, 12 min, 1 h 05 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


@contextmanager
def stopping_on_signals(stop):
    """Let Ctrl-C (and SIGTERM) set an event, so that training ends between two steps; a second Ctrl-C ends it at once."""

    def on_signal(number, frame):
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""`python -m neo_np.bench`: how fast training is, beside torch on the same work.

Each side runs in a process of its own, set up as its users have it, and the two take turns: so they meet the same machine,
whatever else it is doing. What is compared are medians over the rounds.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time

import numpy as np

from neo_np.errors import NeoError
from neo_np.model import Model
from neo_np.params import Config, random_params
from neo_np.terminal import OneLineParser, positive, run_command
from neo_np.train import ENVIRONMENT, default_threads
from neo_np.training.loop import Trainer, TrainingOptions

NEO, TORCH = "neo_np", "torch"


def build_parser():
    """Return the parser of the command's arguments."""
    parser = OneLineParser(prog="python -m neo_np.bench", description="Measure how fast neo_np is on this machine.")
    add = parser.add_subparsers(dest="work", required=True, metavar="train").add_parser(
        "train",
        help="training tokens per second",
        description="Training steps (forward, backward, clipping, AdamW) of a GPT-Neo with random weights on random tokens: "
        "tokens per second, the median over the rounds, and the peak memory of the whole process.",
    )
    add = add.add_argument
    add("--against", choices=[TORCH], help="measure torch with transformers' GPT-Neo as well, at its best number of threads")
    add("--layers", type=positive, default=4, metavar="N", help="blocks, global and local in turn (default: 4)")
    add("--hidden-size", type=positive, default=192, metavar="C", help="channels (default: 192)")
    add("--heads", type=positive, default=6, metavar="H", help="attention heads (default: 6)")
    add("--window-size", type=positive, default=64, metavar="N", help="tokens that a local layer sees (default: 64)")
    add("--vocab-size", type=positive, default=2048, metavar="V", help="tokens of the vocabulary (default: 2048)")
    add("--sequence-length", type=positive, default=256, metavar="T", help="tokens of a window (default: 256)")
    add("--batch-size", type=positive, default=16, metavar="B", help="windows of a step (default: 16)")
    add("--rounds", type=positive, default=9, metavar="N", help="turns of each side (default: 9)")
    add("--steps", type=positive, default=4, metavar="N", help="steps of a turn (default: 4)")
    add("--json", action="store_true", help="print one JSON object")
    add("--side", choices=[NEO, TORCH], help="be one side of the comparison, which takes its orders on standard input")
    return parser


def main(arguments=None):
    """Run the command and return its exit status: 0, 2 after an error, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return run_command(lambda: run(build_parser().parse_args(arguments), arguments))


def run(args, arguments):
    """Measure, or be one side of it; returns the exit status."""
    if args.side:
        serve({NEO: neo_trainer, TORCH: torch_trainer}[args.side](args))
        return 0
    result = compare([NEO, args.against] if args.against else [NEO], args, arguments)
    print(json.dumps(result, indent=2) if args.json else report(result))
    return 0


def neo_trainer(args):
    """Return a function that makes one training step of ours, and what to say of its set-up."""
    config = Config(
        vocab_size=args.vocab_size,
        hidden_size=args.hidden_size,
        num_layers=args.layers,
        num_heads=args.heads,
        max_position_embeddings=args.sequence_length,
        attention_layers=[("global", "local")[layer % 2] for layer in range(args.layers)],
        window_size=args.window_size,
        bos_token_id=None,
        eos_token_id=None,
    )
    threads = default_threads()
    options = TrainingOptions(
        steps=10**6,
        batch_size=args.batch_size,
        sequence_length=args.sequence_length,
        learning_rate=1e-3,
        warmup_steps=1000,
        threads=threads,
    )
    tokens = np.random.default_rng(0).integers(args.vocab_size, size=100 * (args.sequence_length + 1))
    trainer = Trainer(Model(config, random_params(config)), tokens, options)
    return trainer.train_step, f"NumPy {np.__version__}, {threads} threads"


def torch_trainer(args):
    """Return a function that makes the same step in torch eager, and what to say of its set-up."""
    import torch
    import transformers

    config = transformers.GPTNeoConfig(
        vocab_size=args.vocab_size,
        hidden_size=args.hidden_size,
        num_layers=args.layers,
        num_heads=args.heads,
        max_position_embeddings=args.sequence_length,
        attention_types=[[[("global", "local")[layer % 2] for layer in range(args.layers)], 1]],
        window_size=args.window_size,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
        attn_implementation="eager",
    )
    model = transformers.GPTNeoForCausalLM(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    tokens = torch.randint(args.vocab_size, (100, args.batch_size, args.sequence_length + 1))

    def step():
        windows = tokens[torch.randint(len(tokens), ())]
        logits = model(windows[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    seconds = {}
    for threads in {1, os.cpu_count()}:
        torch.set_num_threads(threads)
        step()
        seconds[threads] = min(timed(step) for _ in range(3))
    best = min(seconds, key=seconds.get)
    torch.set_num_threads(best)
    return step, f"torch {torch.__version__} eager, transformers {transformers.__version__}, {best} threads"


def timed(function):
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def serve(trainer):
    """Answer each line on standard input, a number of steps, with the seconds they took and the peak memory so far."""
    step, about = trainer
    step()  # the first is slow
    print(json.dumps({"about": about}), flush=True)
    for line in sys.stdin:
        seconds = sum(timed(step) for _ in range(int(line)))
        print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}), flush=True)


def peak_mb():
    """Return the most memory that this process has held, in MB; None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def compare(sides, args, arguments):
    """Return {"machine", "work", "rounds", "sides"}: what each side measured, the sides taking turns."""
    processes = {side: start(side, arguments) for side in sides}
    try:
        measured = {
            side: {"about": answer(process, side)["about"], "tokens_per_second": []} for side, process in processes.items()
        }
        for _ in range(args.rounds):
            for side, process in processes.items():
                process.stdin.write(f"{args.steps}\n")
                process.stdin.flush()
                found = answer(process, side)
                tokens = args.steps * args.batch_size * args.sequence_length
                measured[side]["tokens_per_second"].append(tokens / found["seconds"])
                measured[side]["peak_mb"] = found["peak_mb"]
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    sizes = "layers hidden_size heads window_size vocab_size sequence_length batch_size".split()
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    return {"machine": machine, "work": {name: getattr(args, name) for name in sizes}, "sides": measured}


def start(side, arguments):
    """Start the process of a side: ours in the environment that `python -m neo_np.train` gives itself."""
    command = [sys.executable, "-m", "neo_np.bench", *arguments, "--side", side]
    environment = (ENVIRONMENT if side == NEO else {}) | dict(os.environ)
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def answer(process, side):
    """Return what a side answers; raises NeoError with its last words where it has died."""
    line = process.stdout.readline()
    if not line:
        words = process.communicate()[1].strip().splitlines() or ["it was killed"]
        hint = ": pip install torch transformers" if "ModuleNotFoundError" in words[-1] else ""
        raise NeoError(f"{side} cannot be measured ({words[-1]}){hint}.")
    return json.loads(line)


def report(result):
    """Return the results as lines of text."""
    work = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result["work"].items())
    lines = [f"training on {result['machine']}: {work}"]
    medians = {side: statistics.median(found["tokens_per_second"]) for side, found in result["sides"].items()}
    for side, found in result["sides"].items():
        memory = "" if found["peak_mb"] is None else f", peak memory {found['peak_mb']:,.0f} MB"
        low, high = min(found["tokens_per_second"]), max(found["tokens_per_second"])
        lines.append(f"{side}: {medians[side]:,.0f} tokens/s ({low:,.0f} to {high:,.0f}){memory}; {found['about']}")
    if TORCH in medians:
        lines.append(f"neo_np is {medians[NEO] / medians[TORCH]:.2f} x as fast as torch")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

"""The process that checks one answer: a job as a line of JSON on standard input, the result as one on standard output.

It limits its own time and memory before the student's code runs. Standard output leads nowhere meanwhile, and the result has
the secret word of the job: so what an answer prints is no result. This stops accidents and simple tricks. It is no sandbox.
"""

import ast
import contextlib
import json
import linecache
import os
import signal
import sys
import threading
import time
import types
from dataclasses import replace
from pathlib import Path

from neo_np.exercises.borrowed import PACKAGE, USES_PACKAGE, is_data, refusal
from neo_np.exercises.course import find
from neo_np.exercises.diagnosis import ANOTHER_TYPE, RIGHT, SLOW, WRONG, examine
from neo_np.exercises.grading.needed import ALWAYS_THERE, needed_by
from neo_np.exercises.grading.submission import Cell, definitions_of
from neo_np.exercises.messages import title_of
from neo_np.exercises.outcomes import BROKEN
from neo_np.exercises.prepared import given_functions, prepared_cases
from neo_np.exercises.registry import load_registry
from neo_np.exercises.seeded import seeded
from neo_np.exercises.timeout import Overtime, within

try:
    import resource
except ImportError:  # Windows
    resource = None

MEMORY = 2**30  # bytes; with 128 MB, OpenBLAS cannot start
STARTS_A_PROCESS = {"os.fork", "os.forkpty", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "subprocess.Popen"}
ERROR, NOT_NAMED = "error", "not named"
BORROWED = refusal([PACKAGE])
NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"  # with the modules that the notebooks import


def main():
    """Check the answer of one job, write the result, and end."""
    job = json.loads(sys.stdin.readline())
    out = os.dup(1)
    end_with_parent(os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    for file in job["registry"]:
        load_registry(file)
    exercise = seeded(replace(find(job["exercise"]), given=tuple(job["given"])), job["seed"])
    prepared_cases(exercise)
    definitions, _ = definitions_of([Cell(*cell) for cell in job["cells"]])
    needed = needed_by(exercise.name, definitions, set(exercise.given))
    limit_resources(job["cpu_seconds"])
    sys.addaudithook(refuse_processes)
    begin = time.perf_counter()
    result = check(exercise, needed, job["seconds"], hide_package)
    result |= {"word": job["word"], "seconds": round(time.perf_counter() - begin, 3)}
    os.write(out, (json.dumps(result) + "\n").encode())
    os._exit(0)  # whatever the answer has left behind, such as a thread


def end_with_parent(stdin):
    """Kill this process and what it has started as soon as the grader has ended and its side of the pipe is closed."""

    def wait():
        os.read(stdin, 1)
        if os.name == "posix" and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def limit_resources(cpu_seconds):
    """Limit memory and processor time of this process, and of each that it starts. Windows has no such limits."""
    if resource:
        for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, cpu_seconds)):
            with contextlib.suppress(ValueError, OSError):  # a lower limit is there already, or the system refuses
                resource.setrlimit(kind, (most, most))


def refuse_processes(event, _):
    """Raise an error when Python is about to start another process."""
    if event in STARTS_A_PROCESS:
        raise PermissionError("an answer may not start other processes.")


class Refuses:
    """An importer that finds nothing but refuses neo_np."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Raise ImportError for neo_np."""
        if name.partition(".")[0] == PACKAGE:
            raise ImportError(BORROWED)


def hide_package():
    """Let no import find neo_np any more. What is imported already still works."""
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    sys.meta_path.insert(0, Refuses)


def constants_of(exercise, needed):
    """Return {definition: {name: value}} of what the answer's file computes with neo_np, such as `D = config.head_size`.

    Raises Borrowed if a value is something of neo_np itself, or may hold it: then the answer does not do its own work.
    """
    if not needed.made:
        return {}
    sys.path.insert(0, str(NOTEBOOKS))
    try:
        _, values = run(exercise, "constants", needed.behind, {})
    finally:
        sys.path.remove(str(NOTEBOOKS))
    found = {definition: {name: values[definition][name] for name in definition.names} for definition in needed.made}
    names = [name for part in found.values() for name, value in part.items() if not is_data(value)]
    if names:
        raise Borrowed(refusal(names))
    return found


def define(exercise, needed, constants):
    """Run the definitions that an answer needs in a module of its own, and return the answer."""
    names, _ = run(exercise, "answer", needed.definitions, constants)
    return names[exercise.name]


def run(exercise, title, definitions, constants):
    """Run definitions in a module of their own and return all names at the end, and {definition: its names after it has run}.

    Definitions in `constants` are not run: their names get these values.
    """
    module = sys.modules[title] = types.ModuleType(title)
    names, after = vars(module), {}
    names |= ALWAYS_THERE | given_functions(exercise)
    for definition in definitions:
        cell, line = definition.cell, definition.node.lineno
        file = f"<{cell.name}, line {line}>"  # the pieces of a broken script have the same name
        linecache.cache[file] = (len(cell.source), None, cell.source.splitlines(keepends=True), file)
        try:
            if definition in constants:
                names |= constants[definition]
            else:
                exec(compile(ast.Module([definition.node], []), file, "exec"), names)
        except Overtime:
            raise
        except BaseException as error:
            if definition.names != ("*",):
                raise Undefined(f"`{type(error).__name__}: {error}` in {cell.name}, line {line}") from error
        after[definition] = {name: names[name] for name in definition.names if name in names}
    return names, after


class Borrowed(Exception):
    """An answer uses something of neo_np. The text is the remark."""


class Undefined(Exception):
    """A definition that the answer needs has stopped with an error. The text says with which, and where."""


def check(exercise, needed, seconds, before_answer=lambda: None):
    """Return {"mistake", "remark"} of an answer; a right one has the mistake "". before_answer: called before it is defined."""
    try:
        constants = within(seconds, lambda: constants_of(exercise, needed))
        before_answer()
        function = within(seconds, lambda: define(exercise, needed, constants))
    except Borrowed as error:
        return {"mistake": USES_PACKAGE, "remark": str(error)}
    except Undefined as error:
        return judged(ERROR, f"What the answer needs stops with {error}.")
    except Overtime:
        return judged(SLOW, f"What the answer needs was stopped after {seconds:g} seconds.")
    try:
        finding = examine(exercise, function, seconds)
    except MemoryError:  # the results of earlier calls fill the memory until this block ends
        finding = None
    if finding is None:
        return judged(ERROR, f"Your function uses more than {MEMORY // 2**30} GB of memory: MemoryError.")
    if finding.mistakes == (ANOTHER_TYPE,):  # its sentence speaks of the first line of a message, which is not shown here
        return judged(ANOTHER_TYPE.name, about(finding))
    if finding.mistakes:
        says = " ".join(mistake.says[0].upper() + mistake.says[1:] for mistake in finding.mistakes)
        more = " And there is something else." if finding.partly else ""
        return judged("+".join(mistake.name for mistake in finding.mistakes), says + more)
    if finding.verdict == RIGHT:
        return judged("", "")
    kind = finding.verdict
    if kind == WRONG:
        kind = ERROR if finding.shown.yours.kind == BROKEN else NOT_NAMED
    waits = " Printing takes time too: leave it out." if kind == SLOW and finding.printed else ""
    return judged(kind, about(finding) + waits)


def about(finding):
    """Return the first line of the message of `@check`, without the name of the exercise."""
    says = title_of(finding).text.removeprefix(f"{finding.exercise.name}: ").removeprefix("not yet. ")
    return says[0].upper() + says[1:]


def judged(mistake, remark):
    """Return the result; an answer that imports neo_np in a hidden way has the mistake USES_PACKAGE."""
    return {"mistake": USES_PACKAGE, "remark": BORROWED} if BORROWED in remark else {"mistake": mistake, "remark": remark}


if __name__ == "__main__":
    main()

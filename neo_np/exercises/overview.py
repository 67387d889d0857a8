"""`progress`: the course at a glance."""

from neo_np.exercises.course import EXERCISES, NOTEBOOKS
from neo_np.exercises.display import SIGNS, show
from neo_np.exercises.messages import BAD, GOOD, NEUTRAL, Code, Text, Title
from neo_np.exercises.record import PASSED, TRIED, read_record


def progress() -> None:
    """Show which exercises are passed, tried or not begun, notebook by notebook."""
    record = read_record()
    states = {name: record["exercises"].get(name, {}).get("state") for name in EXERCISES}
    core = [name for name, exercise in EXERCISES.items() if exercise.core]
    passed = [name for name in EXERCISES if states[name] == PASSED]
    shown = sum(bool(guess.get("revealed")) for guess in record["guesses"].values())
    title = f"You have passed {len(passed)} of {len(EXERCISES)} exercises ({len(set(core) & set(passed))} of {len(core)} core)"
    lines = [notebook_line(number, states) for number in sorted({e.notebook for e in EXERCISES.values()})]
    compared = f"{shown} prediction{'' if shown == 1 else 's'}"
    tone = GOOD if len(passed) == len(EXERCISES) else NEUTRAL
    parts = [Title(tone, f"{title} and compared {compared}.")]
    parts.append(
        Code(f"{SIGNS[GOOD]} passed  {SIGNS[BAD]} tried  {SIGNS[NEUTRAL]} not begun  * core exercise", "\n".join(lines))
    )
    following = next((e for e in EXERCISES.values() if states[e.name] != PASSED), None)
    if following:
        parts.append(Text(f"Next: `{following.name}` in notebook {following.notebook}, about {following.minutes} minutes."))
    show(parts)


def notebook_line(number, states):
    """Return one line: the notebook's number and title, and each of its exercises with its sign."""
    sign = {PASSED: SIGNS[GOOD], TRIED: SIGNS[BAD]}
    names = [
        f"{sign.get(states[e.name], SIGNS[NEUTRAL])} {e.name}{'*' * e.core}" for e in EXERCISES.values() if e.notebook == number
    ]
    return f"{number} {NOTEBOOKS.get(number, ''):16} {'  '.join(names)}"

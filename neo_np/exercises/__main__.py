"""Run `python -m neo_np.exercises`."""

from neo_np.exercises.command import main
from neo_np.terminal import end_with

end_with(main)

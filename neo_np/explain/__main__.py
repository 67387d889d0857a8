"""Run `python -m neo_np.explain`."""

from neo_np.explain.command import main_in_new_environment
from neo_np.terminal import end_with

end_with(main_in_new_environment)

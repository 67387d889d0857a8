"""Run `python -m neo_np.train`."""

from neo_np.terminal import end_with
from neo_np.train.command import main_in_new_environment

end_with(main_in_new_environment)

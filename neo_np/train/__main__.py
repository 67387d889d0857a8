"""Run `python -m neo_np.train`."""

from neo_np.train.command import main_in_new_environment

raise SystemExit(main_in_new_environment())

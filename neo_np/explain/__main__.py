"""Run `python -m neo_np.explain`."""

from neo_np.explain.command import main_in_new_environment

raise SystemExit(main_in_new_environment())

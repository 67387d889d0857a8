"""Run `python -m neo_np.exercises`."""

from neo_np.exercises.command import main

raise SystemExit(main())

"""Run `python -m neo_np.explain`."""

from neo_np.explain.command import main

raise SystemExit(main())

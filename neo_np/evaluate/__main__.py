"""Run `python -m neo_np.evaluate`."""

from neo_np.evaluate.command import main

raise SystemExit(main())

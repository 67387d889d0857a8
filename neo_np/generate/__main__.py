"""Run `python -m neo_np.generate`."""

from neo_np.generate.command import main

raise SystemExit(main())

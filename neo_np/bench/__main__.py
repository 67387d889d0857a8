"""`python -m neo_np.bench`."""

import sys

from neo_np.bench.command import main

sys.exit(main())

"""`python -m neo_np.evaluate`."""

import sys

from neo_np.evaluate.command import main

sys.exit(main())

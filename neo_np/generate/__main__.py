"""`python -m neo_np.generate`."""

import sys

from neo_np.generate.command import main

sys.exit(main())

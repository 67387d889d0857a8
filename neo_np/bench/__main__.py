"""`python -m neo_np.bench`."""

import signal
import sys

from neo_np.bench.command import main

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an orderly end, in which processes and temporary files go
sys.exit(main())

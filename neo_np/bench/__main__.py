"""`python -m neo_np.bench`."""

import signal
import sys

from neo_np.bench.command import main

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # SystemExit ends the processes and removes temporary files
sys.exit(main())

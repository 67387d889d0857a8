"""`python -m neo_np.bench`."""

import signal
import sys

from neo_np.bench.command import main
from neo_np.terminal import end_with

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # SystemExit ends the processes and removes temporary files
end_with(main)

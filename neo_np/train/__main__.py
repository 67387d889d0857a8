"""`python -m neo_np.train`."""

import sys

from neo_np.train.command import main
from neo_np.train.environment import start_anew_with_environment

start_anew_with_environment()
sys.exit(main())

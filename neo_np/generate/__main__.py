"""Run `python -m neo_np.generate`."""

from neo_np.generate.command import main
from neo_np.terminal import end_with

end_with(main)

"""Run `python -m neo_np.evaluate`."""

from neo_np.evaluate.command import main
from neo_np.terminal import end_with

end_with(main)

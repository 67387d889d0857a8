"""neo_np: GPT-Neo in NumPy, to be read, taught from and trusted.

>>> import neo_np
>>> model = neo_np.load()
>>> print(model.generate("Once upon a time", max_new_tokens=40))
"""

import os
import sys

# A command imports for a quarter of a second. If Ctrl-C ends it meanwhile, it is silent; `terminal.run_command` ends this.
if sys.argv[0] == "-m" and any(argument.startswith("neo_np") for argument in sys.orig_argv):
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))

from neo_np.checkpoint.loading import load
from neo_np.checkpoint.saving import save
from neo_np.errors import NeoError
from neo_np.generate.options import Options
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.hooks import hook_names
from neo_np.gpt_neo.params import Params
from neo_np.model import Model
from neo_np.other_names import advice, it_has
from neo_np.pipelines import pipeline
from neo_np.tokenizer.tokenizer import Tokenizer

__version__ = "0.2.0"
__all__ = ["Config", "Model", "NeoError", "Options", "Params", "Tokenizer", "hook_names", "load", "pipeline", "save"]


def __getattr__(name):
    """Raise an error that names what to use instead; ImportError, so that `from neo_np import AutoTokenizer` shows it too."""
    hint = advice("neo_np", name)
    raise (ImportError if hint else AttributeError)(f"neo_np has no {name!r}.{hint or it_has(__all__, name)}")

"""The machine that a measurement belongs to."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

from neo_np.train.environment import processors


def machine() -> dict:
    """Return {"system", "processor", "cores", "python", "numpy", "blas", "environment"}.

    "environment" has the variables that set the number of BLAS threads, if any are set.
    """
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    settings = [f"{name}={os.environ[name]}" for name in sorted(os.environ) if name.startswith(("OPENBLAS_", "OMP_", "MKL_"))]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": processors(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": " ".join(filter(None, [blas.get("name"), blas.get("version"), openblas_kernel()])),
        "environment": " ".join(settings),
    }


def processor_name() -> str:
    """Return the name of the processor, if the system tells it."""
    try:
        if sys.platform == "darwin":
            return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, subprocess.CalledProcessError):
        return platform.processor() or "unknown processor"


def openblas_kernel() -> str | None:
    """Return the processor type that the OpenBLAS in NumPy's wheel has chosen, such as SkylakeX; None for any other BLAS."""
    for file in (Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas*"):
        name = getattr(ctypes.CDLL(str(file)), "scipy_openblas_get_corename64_", None)
        if name:
            name.restype = ctypes.c_char_p
            return name().decode()
    return None

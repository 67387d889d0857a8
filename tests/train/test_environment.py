"""The environment of the training command."""

import os
import subprocess
import sys

from helpers import ROOT

from neo_np.train.environment import ENVIRONMENT


def test_restart_with_the_environment_replaces_the_process_once():
    """In an environment without the variables BLAS would use threads of its own: the process replaces itself, once."""
    variables = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    variables["OMP_NUM_THREADS"] = "3"  # what a user has set stays
    code = (
        "import os\nimport neo_np.train.environment as t\nfrom neo_np.terminal import restart_with\n"
        "print(os.getpid(), *(os.environ.get(name, '-') for name in t.ENVIRONMENT), flush=True)\n"
        "restart_with(t.ENVIRONMENT)\nprint('continues')"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=variables, capture_output=True, text=True, check=True
    ).stdout
    first, second, last = out.splitlines()
    values = ENVIRONMENT | {"OMP_NUM_THREADS": "3"}
    assert first.split()[0] == second.split()[0] and last == "continues"
    assert second.split()[1:] == list(values.values())

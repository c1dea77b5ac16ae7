"""A call imports only what its verb uses: the big libraries take longer than most verbs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

BIG = ("ansible_runner", "docker", "fedsim_runner.runs.lifecycle", "matplotlib", "numpy", "sklearn")
PROGRAM = """
import json, sys
from fedsim_runner.cli.entry import call
code = call(sys.argv[1:])
print(json.dumps([code, *(name for name in {big} if name in sys.modules)]), file=sys.stderr)
"""


@pytest.mark.process
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["up", "--help"], ["ansible-env"]], ids=" ".join)
def test_only_what_the_verb_uses_is_imported(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(big=BIG), *arguments], capture_output=True, text=True, timeout=60
    )
    assert json.loads(done.stderr.splitlines()[-1]) == [0]

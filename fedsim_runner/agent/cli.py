"""Command line of the agent: ``serve``, ``ctl``, ``probe``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run one command. Each imports only what it needs, so that ``ctl`` starts quickly."""
    match list(arguments):
        case ["probe"]:
            from .links import probe

            print(json.dumps(probe.probe()))
            return 0
        case ["ctl", *rest]:
            from .host import control

            return control.main(rest)
        case ["serve", *rest]:
            from . import serve

            return serve.main(rest)
    print(
        "usage: python -m fedsim_runner.agent serve --state DIR --run RUN | ctl COMMAND [JSON] | probe", file=sys.stderr
    )
    return 2

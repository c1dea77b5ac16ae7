"""Where the tests find FederatedScope itself: the environment, else the user's configuration of fedsim-runner.

``~/.config/fedsim/config.yaml``::

    federatedscope:
      source: /path/to/a/checkout
      python: /path/to/an/interpreter/that/has/torch/and/the/rest   # default: the one that runs the tests
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml

CONFIG = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "fedsim" / "config.yaml"
WAYS = f"FEDSIM_FEDERATEDSCOPE_SOURCE and {CONFIG}"


def _configured(key: str) -> str:
    try:
        content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    return str(((content or {}).get("federatedscope") or {}).get(key) or "")


SOURCE = os.environ.get("FEDSIM_FEDERATEDSCOPE_SOURCE") or _configured("source")
PYTHON = os.environ.get("FEDSIM_FEDERATEDSCOPE_PYTHON") or _configured("python") or sys.executable

"""Device files whose data part a test can change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(__file__).parents[3] / "inventories" / "sample" / "device_files" / "local.json"


@pytest.fixture
def device_file() -> dict[str, Any]:
    """The sample's: digits, one server and four clients."""
    return dict(json.loads(SAMPLE.read_text(encoding="utf-8")))

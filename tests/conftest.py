"""Options and helpers every kind of test shares."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing")


@pytest.fixture
def repository() -> Path:
    """Root of the checkout under test."""
    return REPOSITORY


@pytest.fixture
def device_file(repository: Path) -> dict[str, Any]:
    """The sample inventory's, for a test to change: digits, one server and four clients."""
    sample = repository / "inventories" / "sample" / "device_files" / "local.json"
    return dict(json.loads(sample.read_text(encoding="utf-8")))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with a golden file, or write the file under ``--update-golden``."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        expected = path.read_text(encoding="utf-8") if path.exists() else ""
        if text != expected:
            diff = "\n".join(
                difflib.unified_diff(expected.splitlines(), text.splitlines(), str(path), "now", lineterm="")
            )
            pytest.fail(f"differs from {path} (run with --update-golden if this is wanted):\n{diff}")

    return compare

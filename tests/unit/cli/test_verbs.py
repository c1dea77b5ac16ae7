"""The list of verbs is complete."""

from __future__ import annotations

from pathlib import Path

from fedsim_runner.cli import verbs
from fedsim_runner.cli.entry import VERBS, list_verbs


def test_every_file_is_a_verb_of_the_list() -> None:
    files = {path.stem for path in Path(verbs.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == {verb.replace("-", "_") for verb in VERBS}
    assert list_verbs() == list(VERBS)

"""An experiment file, read and then checked by all who have a say: the spec, the data sets, the engines."""

from __future__ import annotations

from pathlib import Path

from ..datasets.data_check import check_data
from ..engines.federatedscope.source_check import check_source
from ..spec.draft import Draft
from ..spec.experiment import Experiment
from ..spec.load import parse_draft, read_draft


def load_experiment(path: Path) -> Experiment:
    """Read and check an experiment file.

    Raises:
        SpecErrors: the file cannot be read or is wrong; it holds all mistakes together.
    """
    return _checked(read_draft(path))


def parse_experiment(text: str, path: Path) -> Experiment:
    """Check an experiment's text. ``path`` names the file in errors; relative paths in the text start at its folder.

    Raises:
        SpecErrors: the text is wrong; it holds all mistakes together.
    """
    return _checked(parse_draft(text, path))


def _checked(draft: Draft) -> Experiment:
    # What was read is checked further even when something is wrong with it, so that all mistakes are shown at once.
    return check_source(check_data(draft)).finish()

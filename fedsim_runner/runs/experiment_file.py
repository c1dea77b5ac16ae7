"""Reading an experiment file and having it checked by the spec, the data sets and the engines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..datasets.data_check import check_data
from ..engines.course_check import check_engines
from ..engines.federatedscope.source_check import check_source
from ..engines.initial_model import check_initial_model
from ..plan.link_check import check_links
from ..spec.draft import Draft
from ..spec.experiment import Experiment
from ..spec.load import parse_draft, read_draft
from ..spec.without_limits import report_impossible
from ..yamlfile.overrides import Override


def load_experiment(path: Path, overrides: Sequence[Override] = (), limits: bool = True) -> Experiment:
    """Read and check an experiment file.

    Args:
        path: the file.
        overrides: values that options give in place of the file's.
        limits: whether the testbed for which it is read has limits and links.

    Raises:
        SpecErrors: the file cannot be read or is wrong; the error lists all mistakes.
    """
    draft = check_engines(_checked(read_draft(path, overrides)))
    if not limits:
        report_impossible(draft.experiment, draft.document)
    return draft.finish()


def parse_experiment(text: str, path: Path, *, engines: bool = False) -> Experiment:
    """Check an experiment's text. ``path`` names the file in errors; relative paths in the text start at its folder.

    ``engines``: whether its engines are asked as well, as for a file; otherwise planning asks them.

    Raises:
        SpecErrors: the text is wrong; the error lists all mistakes.
    """
    draft = _checked(parse_draft(text, path))
    return (check_engines(draft) if engines else draft).finish()


def _checked(draft: Draft) -> Draft:
    # The checks go on even if something is already wrong, so that all mistakes are shown together.
    return check_source(check_initial_model(check_data(check_links(draft))))

"""FederatedScope's search for hyperparameters, which its ``hpo.py`` does by running many courses.

Its ``main.py``, which runs a single course, reads the same files and ignores what is for the search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..catalog.federatedscope_keys import KeyPath, known_keys
from ..yamlfile.document import Document

_SECTION = "hpo"
# Searches within a course, which have sections of their own.
_WITHIN_A_COURSE = ("fedex", "fts", "pfedhpo")
#: What searches here, on the command line.
SWEEP = "--grid federatedscope.config.train.optimizer.lr=0.01,0.1"


def asks_for_search(config: Mapping[str, Any]) -> bool:
    """Whether a tree asks for the search; a whole dump of a configuration has its defaults."""
    given = config.get(_SECTION)
    if not isinstance(given, Mapping):
        return False
    given = {key: value for key, value in given.items() if key not in _WITHIN_A_COURSE}
    # Those that write all keys, old ones among them, did not write these by hand.
    if "pbt" in given:
        given = {key: value for key, value in given.items() if key in ("ss", "sha")}
    elif "scheduler" in given:
        return True
    return not _all_default(given, (_SECTION,))


def leave_out_search(tree: dict[str, Any], document: Document, shown: str) -> Iterator[str]:
    """Leave the search out of a brought file's tree, which is changed; yield notes.

    What the experiment file itself says of a search stays: somebody expects one.
    """
    own = document.over
    if not asks_for_search(tree) or (own is not None and own.gives((_SECTION,))):
        return
    known = known_keys().sections[_SECTION].names
    tree[_SECTION] = {
        key: value for key, value in tree[_SECTION].items() if key in _WITHIN_A_COURSE or key not in known
    }
    if not tree[_SECTION]:
        del tree[_SECTION]
    yield (
        f"{shown}: {_SECTION} is for FederatedScope's {_SECTION}.py, which searches by running many courses; this is a "
        f"single one with the file's other values, as of its main.py (a sweep runs many: {SWEEP})"
    )


def _all_default(values: Mapping[str, Any], at: KeyPath) -> bool:
    known = known_keys()
    return all(
        _all_default(value, (*at, key))
        if isinstance(value, Mapping)
        else known.is_default((*at, key), value) or not known.has((*at, key))
        for key, value in values.items()
    )

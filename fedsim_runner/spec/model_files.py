"""The model files that FederatedScope's tree names: what the server starts with, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from ..contract.device_file import InitialModel
from ..contract.participant_events import EVENTS, LOG_FOLDER
from ..contract.paths import EXIT_RECORD
from ..yamlfile.document import Document

# What a participant's output folder holds besides.
_TAKEN = (EXIT_RECORD, EVENTS, LOG_FOLDER, "activity.jsonl", "console.log", "tmp")
_LONGEST_NAME_BYTES = 200


def take_model_files(config: dict[str, Any], tree: Document, folder: Path) -> InitialModel | None:
    """Take ``federate.restore_from`` out of a checked tree, and leave of ``federate.save_to`` the name of the file.

    What is wrong with them is reported in the tree's document.

    Args:
        config: the tree; it is changed.
        tree: its document.
        folder: where a relative ``restore_from`` starts.
    """
    federate = config.get("federate")
    if not isinstance(federate, dict):
        return None
    saved, restored = federate.pop("save_to", ""), federate.pop("restore_from", "")
    if not isinstance(saved, str):
        tree.report(("federate", "save_to"), "must be the name of a file")
    elif saved:
        name = PurePosixPath(saved).name
        too_long = len(name.encode(errors="replace")) > _LONGEST_NAME_BYTES
        if not name.strip(".") or not name.isprintable() or too_long or name in _TAKEN:
            tree.report(("federate", "save_to"), f"{saved!r} cannot be the name of the model's file", "model.pt, say")
        else:
            federate["save_to"] = name
    if not isinstance(restored, str):
        tree.report(("federate", "restore_from"), "must be the path of a model file")
    elif restored:
        try:
            return InitialModel(str((folder / Path(restored).expanduser()).resolve()))
        except (ValueError, RuntimeError, OSError):
            tree.report(("federate", "restore_from"), "is not a path")
    return None

"""The model file that a server starts with: checked with the experiment, and given to the server as one of its inputs.

What the server reads is not the user's file but the same model, written again: only tensors reach it, whatever the file
has besides, and whatever a torch in its image would do with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..contract.device_file import InitialModel
from ..contract.errors import Exit, FedsimError
from ..contract.paths import DEVICE_INPUTS, INITIAL_MODEL
from ..spec.draft import Draft
from .engine_values import Refusal

_ON_A_DEVICE = f"{DEVICE_INPUTS}/{INITIAL_MODEL}"


class InitialModelError(FedsimError, ValueError):
    """The file is not a model, or not the one that was checked; the text names it."""

    exit = Exit.SPEC


def check_initial_model(draft: Draft) -> Draft:
    """Check the file that ``federate.restore_from`` names, and return the draft with its digest.

    Mistakes are reported in the draft.
    """
    wanted = draft.experiment.initial_model
    if wanted is None:
        return draft
    try:
        content = _content(wanted)
    except InitialModelError as error:
        hint = "a run leaves its model in its folder, as collected/SERVER/model.pt"
        if wanted.path == _ON_A_DEVICE:  # in a config.yaml that a run collected
            hint = f"that is a device's file; the folder of the run that names it has it as inputs/{INITIAL_MODEL}"
        # Messages name the file as the experiment file does.
        reason = error.message.removeprefix(wanted.path)
        draft.report_in_tree(
            ("federate", "restore_from"), f"{draft.configured('federate', 'restore_from')}{reason}", hint
        )
        return draft
    found = replace(wanted, sha256=hashlib.sha256(content).hexdigest())
    return replace(draft, experiment=replace(draft.experiment, initial_model=found))


def initial_model_file(wanted: InitialModel) -> bytes:
    """The file that the server gets.

    Raises:
        InitialModelError: it cannot be read, or has changed since it was checked.
    """
    content = _content(wanted)
    if hashlib.sha256(content).hexdigest() != wanted.sha256:
        raise InitialModelError(f"{wanted.path}: the model has changed since it was checked")
    return content


def initial_shapes(wanted: InitialModel) -> Mapping[str, tuple[int, ...]]:
    """The shapes of the model's arrays by name.

    Raises:
        InitialModelError: it cannot be read.
    """
    from ..participant.model_file import read_model

    return read_model(_content(wanted)).shapes


def refuse_model(problem: str) -> Refusal:
    """The refusal of a file that does not fit the server's model."""
    hint = "the model and the data must be those of the run that saved it"
    return Refusal(("federate", "restore_from"), f"the file does not fit: {problem}", hint)


def _content(wanted: InitialModel) -> bytes:
    # Brings numpy, which an experiment without such a file does not need here.
    from ..participant.model_file import load_model, write_model
    from ..participant.tensors import TensorError

    try:
        model = load_model(Path(wanted.path))
        return write_model(model.parameters, model.rounds)
    except TensorError as error:
        raise InitialModelError(str(error)) from error

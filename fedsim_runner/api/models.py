"""Global models as files: what a run leaves, and what ``federate.restore_from`` starts from."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ..contract import atomic
from ..contract.errors import Exit, FedsimError
from ..participant import model_file
from ..participant.model_file import SavedModel
from ..participant.tensors import TensorError


def load_model(path: str | PathLike[str]) -> SavedModel:
    """Load a global model as numpy arrays by name. The file may be from anybody: nothing in it is run.

    Raises:
        FedsimError: it cannot be read, or is not a model.
    """
    try:
        return model_file.load_model(Path(path))
    except TensorError as error:
        raise FedsimError(error.message, Exit.SPEC) from error


def save_model(path: str | PathLike[str], parameters: Mapping[str, Any], rounds: int = 0) -> Path:
    """Write a model as a file that ``federate.restore_from``, FederatedScope and ``torch.load`` read; return its path.

    Args:
        path: the file, which is replaced if it exists.
        parameters: numpy arrays, or what numpy makes arrays of, by FederatedScope's names.
        rounds: how many rounds it has been trained.

    Raises:
        FedsimError: it cannot be written, or torch's files do not have arrays of such a type.
    """
    target = Path(path)
    try:
        atomic.write(target, model_file.write_model(parameters, rounds))
    except TensorError as error:
        raise FedsimError(error.message, Exit.SPEC) from error
    except OSError as error:
        raise FedsimError(atomic.explain(error, target), Exit.OUTPUT) from error
    return target

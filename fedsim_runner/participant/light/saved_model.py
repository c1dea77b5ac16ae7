"""The files of the global model: what a server starts with, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path

from fedsim_runner.contract import atomic

from ..exit_errors import ParticipantError
from ..model_file import load_model, misfit, write_model
from .models import Model, load_parameters
from .run_log import logger


def restore(model: Model, path: Path) -> None:
    """Overwrite the whole model with the one in a file, which may lack the statistics that are not trained.

    Raises:
        ParticipantError: the file cannot be read, or holds a model of another kind.
    """
    saved = load_model(path)
    if problem := misfit(saved.shapes, shapes_of(model), model.statistics):
        raise ParticipantError(f"{path} does not fit: {problem}: are model and data those of the run that saved it?")
    load_parameters(model, saved.parameters)
    model.load_statistics({name: value for name, value in saved.parameters.items() if name in model.statistics})
    logger.info(f"Server: starts with the model in {path}, saved after {saved.rounds} rounds")


def save(model: Model, path: Path, rounds: int) -> None:
    """Write the whole model, as it is after so many rounds.

    Raises:
        OSError: the file cannot be written.
    """
    atomic.write(path, write_model({**model.parameters, **model.statistics}, rounds))


def shapes_of(model: Model) -> dict[str, tuple[int, ...]]:
    """The shapes of the whole model's arrays by name."""
    return {name: value.shape for name, value in {**model.parameters, **model.statistics}.items()}

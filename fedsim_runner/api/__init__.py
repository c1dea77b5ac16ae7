"""fedsim-runner from Python: start runs, await them, read what they left, plot it.

    from fedsim_runner import api as fedsim

    run = fedsim.run("examples/quickstart.yaml", docker=False)
    run.rounds.to_pandas()
    run.plot("accuracy")

The names in ``__all__`` are the whole public interface; docs/python.md describes them, and everything else in this
package may change at any time. Errors are :class:`FedsimError`; reading runs no code of a run folder.
"""

from __future__ import annotations

from ..contract.errors import Exit, FedsimError
from ..participant.model_file import SavedModel
from .comparison import Comparison, compare
from .models import load_model, save_model
from .plots import Plot
from .rows import Row, Rows
from .run import Run, open_run
from .started import RunFailedError, StartedRun, run, start

__all__ = [
    "Comparison",
    "Exit",
    "FedsimError",
    "Plot",
    "Row",
    "Rows",
    "Run",
    "RunFailedError",
    "SavedModel",
    "StartedRun",
    "compare",
    "load_model",
    "open_run",
    "run",
    "save_model",
    "start",
]

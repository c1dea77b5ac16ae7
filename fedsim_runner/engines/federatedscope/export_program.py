"""A program for the interpreter that has FederatedScope: FederatedScope loads a data set and splits it among clients.

    python export_program.py REQUEST.json FOLDER

The request holds FederatedScope's configuration tree (standalone mode). ``FOLDER/<index>.npz`` is written for each
participant, 0 being the server, with arrays ``train_x``, ``train_y`` and so on for the splits that it has. An
error is one line on standard error, with exit code 1. Nothing of fedsim-runner is imported: this interpreter does not
have it.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

# One of the few files of fedsim-runner that need nothing of it.
CONTRIB_IMPORT = Path(__file__).parents[2] / "participant" / "federatedscope" / "contrib_import.py"
SPLITS = ("train", "val", "test")


def main() -> None:
    """Export the data set that the request names."""
    request, folder = Path(sys.argv[1]), Path(sys.argv[2])
    tree = json.loads(request.read_text(encoding="utf-8"))

    contrib_import = _load(CONTRIB_IMPORT)
    contrib_import.leave_out_what_fails()
    # Not installed where fedsim-runner is checked and tested.
    configs = import_module("federatedscope.core.configs.config")
    builder = import_module("federatedscope.core.auxiliaries.data_builder")
    config = configs.global_cfg.clone()
    try:
        config.merge_from_other_cfg(configs.CN(tree))
    except KeyError as error:
        raise SystemExit(f"FederatedScope's configuration does not have the key {error.args[0]}") from error
    client_num = config.federate.client_num
    try:
        loaded, _ = builder.get_data(config.clone())
    except ValueError as error:  # among others a data set or splitter that nothing provides
        left_out = contrib_import.describe_left_out()
        raise SystemExit(f"{error}; left out, as it cannot be imported: {left_out}" if left_out else error) from error
    found = {index: _arrays(index, loaded[index]) for index in range(client_num + 1) if index in loaded}
    missing = [index for index in range(1, client_num + 1) if "train" not in found.get(index, {})]
    if missing:
        with_samples = client_num - len(missing)
        raise SystemExit(f"the data set has training samples for {with_samples} clients, not for {client_num}")
    found[0] = _server(found)
    for index, splits in found.items():
        arrays = {f"{name}_x": x for name, (x, _) in splits.items()}
        arrays.update({f"{name}_y": y for name, (_, y) in splits.items()})
        np.savez(folder / f"{index}.npz", **arrays)


def _load(path: Path) -> Any:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # it is a Python file
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _server(found: dict[int, dict[str, tuple[Any, Any]]]) -> dict[str, tuple[Any, Any]]:
    """The server's test set; without one, the clients' test sets together."""
    own = found.get(0, {})
    if "test" in own:
        return {"test": own["test"]}
    tests = [splits["test"] for index, splits in sorted(found.items()) if index and "test" in splits]
    if not tests:
        raise SystemExit("the data set has no test samples: see data.splits")
    return {"test": (np.concatenate([x for x, _ in tests]), np.concatenate([y for _, y in tests]))}


def _arrays(index: int, participant: Any) -> dict[str, tuple[Any, Any]]:
    """Samples and labels by split from one participant's ``ClientData``."""
    found = {}
    for name in SPLITS:
        samples = getattr(participant, f"{name}_data", None)
        if samples is None or len(samples) == 0:
            continue
        try:
            pairs = [(np.asarray(x, dtype=np.float32), np.asarray(y)) for x, y in samples]
            x = np.stack([pair[0] for pair in pairs])
            y = np.stack([pair[1] for pair in pairs]).reshape(len(x), -1)
        except (TypeError, ValueError) as error:
            raise SystemExit(f"samples of participant {index} are not arrays with one label each: {error}") from error
        if y.shape[1] != 1 or (y != np.round(y)).any() or y.min() < 0:
            raise SystemExit("labels are not classes (whole numbers from 0): only classification is supported")
        found[name] = (x, y[:, 0].astype(np.int64))
    return found


if __name__ == "__main__":
    main()

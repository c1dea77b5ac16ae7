"""A program for the interpreter that has FederatedScope: its own loader and splitter deal a data set out to clients.

    python export_program.py REQUEST.json FOLDER

The request holds FederatedScope's configuration tree (standalone mode). ``FOLDER/<index>.npz`` is written for each
participant, 0 being the server, with arrays ``train_x``, ``train_y`` and so on for the splits that it has. What is
wrong goes to standard error in one line, exit code 1. Nothing of fedsim-runner is imported: the interpreter has none.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

SPLITS = ("train", "val", "test")


def main() -> None:
    """Export the data set that the request names."""
    request, folder = Path(sys.argv[1]), Path(sys.argv[2])
    tree = json.loads(request.read_text(encoding="utf-8"))

    # Not known where fedsim-runner is checked and tested.
    configs = import_module("federatedscope.core.configs.config")
    builder = import_module("federatedscope.core.auxiliaries.data_builder")
    config = configs.global_cfg.clone()
    try:
        config.merge_from_other_cfg(configs.CN(tree))
    except KeyError as error:
        raise SystemExit(f"FederatedScope's configuration has no such key: {error.args[0]}") from error
    wanted = config.federate.client_num
    loaded, _ = builder.get_data(config.clone())
    found = {index: _arrays(index, loaded[index]) for index in range(wanted + 1) if index in loaded}
    missing = [index for index in range(1, wanted + 1) if "train" not in found.get(index, {})]
    if missing:
        raise SystemExit(f"the data set has training samples for {wanted - len(missing)} clients, not for {wanted}")
    found[0] = _server(found)
    for index, splits in found.items():
        arrays = {f"{name}_x": x for name, (x, _) in splits.items()}
        arrays.update({f"{name}_y": y for name, (_, y) in splits.items()})
        np.savez(folder / f"{index}.npz", **arrays)


def _server(found: dict[int, dict[str, tuple[Any, Any]]]) -> dict[str, tuple[Any, Any]]:
    """The server's test set; where the data set has none for it, the clients' together."""
    own = found.get(0, {})
    if "test" in own:
        return {"test": own["test"]}
    tests = [splits["test"] for index, splits in sorted(found.items()) if index and "test" in splits]
    if not tests:
        raise SystemExit("the data set has no test samples: see data.splits")
    return {"test": (np.concatenate([x for x, _ in tests]), np.concatenate([y for _, y in tests]))}


def _arrays(index: int, participant: Any) -> dict[str, tuple[Any, Any]]:
    """Samples and labels by split, of one participant's ``ClientData``."""
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
            raise SystemExit(f"samples of participant {index} are no arrays with one label each: {error}") from error
        if y.shape[1] != 1 or (y != np.round(y)).any() or y.min() < 0:
            raise SystemExit("labels are no classes, that is whole numbers from 0: only classification is supported")
        found[name] = (x, y[:, 0].astype(np.int64))
    return found


if __name__ == "__main__":
    main()

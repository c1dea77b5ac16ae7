"""A program for the interpreter that has FederatedScope: FederatedScope loads a data set and splits it among clients.

    python export_program.py REQUEST.json FOLDER

The request has FederatedScope's configuration tree (standalone mode) as ``config``, and ``parts``: for each
participant, the server first, the name of its ``device``, its own ``data.file_path`` and ``distribute.data_idx`` if it
has them, as in its configuration in distributed mode. ``FOLDER/<index>.npz`` is written for each participant, 0 being
the server, with arrays ``train_x``, ``train_y`` and so on for the splits that it has. Data that are no labelled samples
of one shape, which ``objects`` says in words where it is known, are written as FederatedScope makes them, see
``export_objects.py``; ``server_evaluates`` is for those. An error is one line on standard error, with exit code 1.
Nothing of fedsim-runner is imported: this interpreter does not have it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

# One of the few files of fedsim-runner that need nothing of it.
CONTRIB_IMPORT = Path(__file__).parents[2] / "participant" / "federatedscope" / "contrib_import.py"
OBJECTS = Path(__file__).with_name("export_objects.py")
SPLITS = ("train", "val", "test")


class _NoArraysError(Exception):
    """Samples are not arrays of one shape; the text says why."""


def main() -> None:
    """Export the data set that the request names."""
    folder = Path(sys.argv[2])
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))

    contrib_import = _load(CONTRIB_IMPORT)
    contrib_import.leave_out_what_fails()
    # Not installed where fedsim-runner is checked and tested.
    configs = import_module("federatedscope.core.configs.config")
    builder = import_module("federatedscope.core.auxiliaries.data_builder")
    config = configs.global_cfg.clone()
    try:
        config.merge_from_other_cfg(configs.CN(request["config"]))
    except KeyError as error:
        raise SystemExit(f"FederatedScope's configuration does not have the key {error.args[0]}") from error
    client_num = config.federate.client_num
    _trust_arrays()
    _replace_progress()
    if request["objects"]:
        _restore_pandas()
        _restore_transforms()
        _load(OBJECTS).note_random_numbers()
    try:
        loaded, changed = _load_parts(builder, config, request["parts"])
    except ValueError as error:  # among others a data set or splitter that nothing provides
        left_out = contrib_import.describe_left_out()
        raise SystemExit(f"{error}; left out, as it cannot be imported: {left_out}" if left_out else error) from error
    reason = f"the data are {request['objects']}"
    try:
        if request["objects"]:
            raise _NoArraysError(reason)
        found = {index: _arrays(index, loaded[index]) for index in range(client_num + 1) if index in loaded}
    except _NoArraysError as error:
        objects = _load(OBJECTS)
        objects.write_objects(loaded, (config, changed), folder, str(error), request["server_evaluates"])
        return
    missing = [index for index in range(1, client_num + 1) if "train" not in found.get(index, {})]
    if missing:
        with_samples = client_num - len(missing)
        raise SystemExit(f"the data set has training samples for {with_samples} clients, not for {client_num}")
    found[0] = _server(found)
    for index, splits in found.items():
        arrays = {f"{name}_x": x for name, (x, _) in splits.items()}
        arrays.update({f"{name}_y": y for name, (_, y) in splits.items()})
        np.savez(folder / f"{index}.npz", **arrays)


def _load_parts(builder: Any, config: Any, parts: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Any], Any]:
    """Each participant's part of the data, and the configuration after loading."""
    if config.data.type.lower() == "file":
        return _load_files(builder, config, parts)
    loaded, changed = builder.get_data(config.clone())
    own = {index: _part_of(loaded, index, part) for index, part in enumerate(parts)}
    return {index: part for index, part in own.items() if part is not None}, changed


def _load_files(builder: Any, config: Any, parts: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Any], Any]:
    """The same of FederatedScope's files: one that has the data of all by number, or one for each participant."""
    contents: dict[str, Any] = {}
    loaded, changed = {}, config
    for index, part in enumerate(parts):
        own = config.clone()
        path = own.data.file_path = part.get("data", {}).get("file_path", config.data.file_path)
        if not path:
            continue  # a server without data
        if path not in contents:
            contents[path], changed = builder.get_data(own)
        content = contents[path]
        if not any(name in content for name in SPLITS):
            content = _part_of(content, index, part)
        elif index and "data" not in part:
            raise SystemExit(f"{path} holds one participant's data, and {part['device']} has no file of its own")
        if content is not None:
            loaded[index] = content
    return loaded, changed


def _part_of(loaded: Mapping[Any, Any], index: int, part: Mapping[str, Any]) -> Any:
    """A participant's part of data by number: the one that it names, else that of its own number; None: none."""
    number = part.get("distribute", {}).get("data_idx", -1)
    if number > -1 and number not in loaded:
        raise SystemExit(f"{part['device']} shall get part {number} of the data, and there is none")
    return loaded.get(number if number > -1 else index)


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
        if samples is None and isinstance(participant, Mapping) and isinstance(participant.get(name), Mapping):
            samples = _of_file(participant[name])
        if samples is None:
            continue
        try:
            x, y = stacked(samples)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise _NoArraysError(f"samples of participant {index} are not arrays of one shape: {error}") from error
        if x.dtype.kind not in "fiub" or y.dtype.kind not in "fiub":
            kinds = f"{x.dtype} and {y.dtype}"
            raise _NoArraysError(f"samples and labels of participant {index} are {kinds}, no numbers")
        if len(x):
            found[name] = (x if x.dtype.kind != "f" else x.astype(np.float32, copy=False), _labels(y))
    return found


def stacked(samples: Any) -> tuple[Any, Any]:
    """Samples and labels as arrays. Each is made, copied to its place and dropped: pictures are most of the memory."""
    if not hasattr(samples, "__len__"):
        samples = list(samples)
    made: tuple[_Stack, _Stack] = (_Stack(len(samples)), _Stack(len(samples)))
    for pair in samples:
        for place in (0, 1):
            made[place].add(_array(pair[place]))
    return made[0].array(), made[1].array()


class _Stack:
    """What ``numpy.stack`` makes of arrays that come one by one; numbers with a fraction become single-precision."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._count = 0
        self._rows: Any = None

    def add(self, one: Any) -> None:
        """Raise a ValueError if the array has another shape than the first, or there is no place for it."""
        kind = np.dtype(np.float32) if one.dtype.kind == "f" else one.dtype
        if self._rows is None:
            self._rows = np.empty((self._length, *one.shape), kind)
        elif one.shape != self._rows.shape[1:]:
            raise ValueError("all input arrays must have the same shape")
        elif kind != self._rows.dtype:
            self._rows = self._rows.astype(np.result_type(self._rows.dtype, kind), copy=False)
        if self._count == self._length:
            raise ValueError(f"there are more than the {self._length} samples that it says it has")
        self._rows[self._count] = one
        self._count += 1

    def array(self) -> Any:
        return np.empty((0,)) if self._rows is None else self._rows[: self._count]


def _of_file(split: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Pairs of a split in a file of FederatedScope's: its wrapper makes numbers with a fraction single-precision."""
    x, y = (split["x"], split["y"])
    arrays = [value if hasattr(value, "detach") else np.asarray(value) for value in (x, y)]
    x, y = (one.astype(np.float32) if getattr(one, "dtype", None) == np.float64 else one for one in arrays)
    return list(zip(x, y, strict=True))


def _array(value: Any) -> Any:
    """A sample or a label as an array. Several tensors in one sample (pairs of images, a tokenizer's) would not fit."""
    if isinstance(value, Mapping) or (isinstance(value, list | tuple) and hasattr(value[0], "shape")):
        raise TypeError("a sample consists of several arrays")
    return np.asarray(value)


def _labels(y: Any) -> Any:
    """Classes as int64, one for each sample; targets as they are, since losses compare their very numbers."""
    if y.dtype.kind == "f":
        return y
    return (y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y).astype(np.int64)


def _replace_progress() -> None:
    """FederatedScope shows its progress with tqdm, which nobody sees here: without it the items come as they are."""
    try:
        import_module("tqdm")
    except ImportError:
        module = ModuleType("tqdm")
        vars(module)["tqdm"] = lambda items, *_, **__: items
        sys.modules["tqdm"] = module


def _restore_pandas() -> None:
    """FederatedScope reads ratings with a method that newer versions of pandas have under another name."""
    try:
        series = import_module("pandas").Series
    except ImportError:
        return
    if not hasattr(series, "iteritems"):
        series.iteritems = series.items


def _restore_transforms() -> None:
    """FederatedScope was written for transforms of graphs that change a graph in place and need no ``forward``.

    In newer versions of torch-geometric they change a copy, which its loader of links drops, and its splitters of
    graphs lack a method.
    """
    try:
        base = import_module("torch_geometric.transforms").BaseTransform
    except ImportError:
        return
    if getattr(getattr(base, "forward", None), "__isabstractmethod__", False):
        base.forward = lambda self, data: data
        base.__call__ = lambda self, data: self.forward(data)
        base.__abstractmethods__ = frozenset()


def _trust_arrays() -> None:
    """Let newer versions of torch read NumPy's arrays, in which FederatedScope keeps its set ``synthetic``."""
    serialization = import_module("torch").serialization
    if not hasattr(serialization, "add_safe_globals"):
        return
    multiarray = import_module("numpy.core.multiarray" if int(np.__version__[0]) < 2 else "numpy._core.multiarray")
    kinds = [type(np.dtype(kind)) for kind in ("float32", "float64", "int64")]
    serialization.add_safe_globals([multiarray._reconstruct, multiarray.scalar, np.ndarray, np.dtype, *kinds])


if __name__ == "__main__":
    main()

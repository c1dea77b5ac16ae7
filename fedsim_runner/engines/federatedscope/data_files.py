"""What FederatedScope's files of data hold, without running code from a pickle: enough to refuse a wrong one in a plan.

Such a file is a pickle: ``{"train": {"x": ..., "y": ...}, "val": ..., "test": ...}`` of one participant, or the same
of each by number. FederatedScope itself reads it when the inputs are made, see ``export_program.py``.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedsim_runner.yamlfile.spec_errors import DATA_NOT_AT_HAND

from ..engine_values import Refusal

SPLITS = ("train", "val", "test")
_KEY = ("data", "file_path")
_NUMBER = ("distribute", "data_idx")
# Looking into a larger file would take a plan too long.
_LOOKED_INTO_BYTES = 512 * 2**20
_FORM = "FederatedScope's has train, val and test with x and y each, or that for each participant by number"
_OWN = (
    "give each client its own as `federatedscope: {data: {file_path: ...}}`, or all one file with their data by "
    "number; `fedsim-provision init SERVER.yaml CLIENT_1.yaml ...` writes that from one YAML per participant"
)


@dataclass(frozen=True)
class HeldData:
    """What a file holds.

    Attributes:
        splits: those that one participant's data have; None: the file has the data of several, or it is not known.
        numbers: of the participants whose data it has; None: of one, or it is not known.
        wrong: why FederatedScope cannot use it; empty: it can, as far as is known.
    """

    splits: frozenset[str] | None = None
    numbers: frozenset[int] | None = None
    wrong: str = ""


def look_into(path: Path) -> HeldData:
    """Read the keys of a file of FederatedScope's.

    Raises:
        OSError: it cannot be read.
    """
    if path.stat().st_size > _LOOKED_INTO_BYTES:
        return HeldData()
    with path.open("rb") as stream:
        try:
            content = _Inert(stream).load()
        except Exception as error:  # a broken pickle raises nearly anything
            return HeldData(wrong=f"{path} is no pickle that can be read: {error or type(error).__name__}")
    if isinstance(content, _Object) or (isinstance(content, dict) and any(isinstance(key, _Object) for key in content)):
        return HeldData()  # of a class of somebody's own, or numbered by one
    if isinstance(content, dict) and not content.keys().isdisjoint(SPLITS):
        return HeldData(frozenset(name for name in SPLITS if content.get(name) is not None))
    numbers = {key for key in content if type(key) is int} if isinstance(content, dict) else set()
    if not numbers:
        return HeldData(wrong=f"{path} holds no data by participant: {_FORM}")
    return HeldData(numbers=frozenset(numbers))


def unusable_files(
    tree: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], devices: Sequence[str]
) -> Iterator[Refusal]:
    """What stands against participants' files.

    Args:
        tree: FederatedScope's ``data``, with absolute paths.
        parts: what a device gets of them, by its name.
        devices: the server and the clients in the order of their numbers.
    """
    found: dict[str, HeldData] = {}
    for index, device in enumerate(devices):
        part = parts.get(device, {})
        path = part.get("data", {}).get("file_path") or tree.get("file_path")
        if path is None:
            continue  # a server without data
        first = path not in found
        if first:
            if not Path(path).is_file():
                found[path] = HeldData()
                hint = "a path starts at the experiment file's folder"
                yield Refusal(_KEY, f"there is no file {path}", hint, DATA_NOT_AT_HAND, device)
                continue
            try:
                found[path] = look_into(Path(path))
            except OSError as error:
                found[path] = HeldData(wrong=f"{path} cannot be read: {error.strerror}")
        held = found[path]
        if held.wrong and first:
            yield Refusal(_KEY, held.wrong, "name another", device=device)
        elif index and held.splits is not None and "data" not in part:
            yield Refusal(_KEY, f"{path} holds one participant's data, and {device} has no file of its own", _OWN)
            return  # the same holds for the others
        elif index and held.splits is not None and "train" not in held.splits:
            yield Refusal(_KEY, f"{path} has no data to train on, and {device} is a client", "name another", "", device)
        elif held.numbers is not None:
            yield from _not_there(path, held.numbers, part, index, device)


def _not_there(
    path: str, numbers: frozenset[int], part: Mapping[str, Any], index: int, device: str
) -> Iterator[Refusal]:
    asked = part.get("distribute", {}).get("data_idx", -1)
    has = f"{path} has data of the numbers {', '.join(map(str, sorted(numbers)[:8]))}{', ...' * (len(numbers) > 8)}"
    if asked > -1 and asked not in numbers:
        yield Refusal(_NUMBER, f"{has}, not of {asked}", "name one of them", device=device)
    elif asked < 0 and index and index not in numbers:
        hint = f"give {device} `federatedscope: {{distribute: {{data_idx: ...}}}}`, or have fewer clients"
        yield Refusal(_KEY, f"{has}, and {device} is client {index}", hint)


class _Object:
    """Stands for whatever a pickle would make; it takes everything and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Object:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> _Object:
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Take an entry."""

    def extend(self, values: Any) -> None:
        """Take entries."""

    def add(self, value: Any) -> None:
        """Take a member."""


class _Inert(pickle.Unpickler):
    """Makes plain values, and of everything else an object that does nothing: no name of a pickle is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        return _Object

    def persistent_load(self, pid: Any) -> Any:
        return _Object()

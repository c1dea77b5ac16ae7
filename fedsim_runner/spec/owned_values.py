"""What a tree says of keys that the testbed sets: no mistake if that is the same, overridden in a brought file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..catalog.federatedscope_keys import LOADER_KEYS, known_keys
from ..contract.paths import MODEL
from ..yamlfile.document import Document
from ..yamlfile.scalars import Ambiguous
from .testbed_keys import LOADED_BY_FEDERATEDSCOPE, SPLIT_BY_TESTBED, USERS_DISTRIBUTE_PREFIX, Owned, owned_keys

_SHOWN_VALUES = (("seed",), ("federate", "client_num"))


class OwnedValues:
    """Takes from a tree what the testbed sets.

    A file of FederatedScope's own (``config_file``) was not written for the testbed: there every other value is
    overridden, and :meth:`note` says which. In the experiment file it is a mistake: somebody expects it to count.

    Args:
        tree: the user's tree as a copy, which is changed.
        document: where it was written.
        brought: whether it is a file of its own.
        dataset: the experiment's.
    """

    def __init__(self, tree: dict[str, Any], document: Document, brought: bool, dataset: str) -> None:
        self._tree = tree
        self._document = document
        self._brought = brought
        self._all_data = f"data.* (data set {dataset})"
        self._overridden: list[str] = []
        self._moved: list[str] = []

    def move_loader_keys(self) -> None:
        """Move outdated names such as ``data.batch_size`` to ``dataloader``, as FederatedScope does."""
        data = self._tree.get("data")
        if not isinstance(data, dict):
            return
        for old, new in LOADER_KEYS.items():
            if old not in data:
                continue
            given = data.pop(old)
            if known_keys().is_default(("data", old), given):
                continue
            if not self._is_brought(("data", old)):
                hint = f"write dataloader: {{{new}: ...}}"
                self._document.report(("data", old), f"an outdated key: it is now dataloader.{new}", hint)
                continue
            loader = self._tree.setdefault("dataloader", {})
            if isinstance(loader, dict):
                loader[new] = given
                self._moved.append(f"data.{old} as dataloader.{new}")

    def take(self, seed: int, clients: int | None) -> None:
        """Remove what the testbed sets. ``clients``: the number of client devices, if it is known."""
        for owned in owned_keys(seed, clients):
            self._take_owned(owned, unsure=owned.path[-1] == "client_num" and clients is None)
        self._take_data()
        self._take_addresses()
        self._take_verbosity()
        if self._brought:
            self._fit_to_the_devices(clients)

    def note(self, shown: str) -> Iterator[str]:
        """Say what was overridden in the file ``shown``; nothing if its values say the same."""
        if self._overridden:
            keys = ", ".join(dict.fromkeys(self._overridden))
            yield f"{shown}: the testbed sets {keys}: what the file says there is not used"
        if self._moved:
            yield f"{shown}: outdated keys are read as FederatedScope reads them: {', '.join(self._moved)}"

    def _is_brought(self, path: tuple[str, ...]) -> bool:
        own = self._document.over
        return self._brought and not (own is not None and own.gives(path))

    def _take_owned(self, owned: Owned, unsure: bool) -> None:
        holder: Any = self._tree
        for part in owned.path[:-1]:
            holder = holder.get(part)
            if not isinstance(holder, dict):
                return
        if owned.path[-1] not in holder:
            return
        given = holder.pop(owned.path[-1])
        if unsure or isinstance(given, Ambiguous) or owned.says_the_same(given):  # an ambiguous value is reported
            return
        if self._is_brought(owned.path):
            shown = f" ({owned.value})" if owned.path in _SHOWN_VALUES else ""
            key = self._all_data if owned.path[0] == "data" else ".".join(owned.path)
            self._overridden.append(f"{key}{shown}")
            return
        hint = "remove it" if owned.value is None else f"remove it, or write {_format_value(owned.value)}"
        if owned.instead is not None:
            hint = f"{hint}; {owned.instead}"
        self._document.report(owned.path, f"the testbed sets it: {owned.why}", hint)

    def _take_data(self) -> None:
        # The tree only still has this section if FederatedScope's loader is not used.
        for key, given in self._tree.pop("data", {}).items():
            if _is_default(("data", key), given):
                continue
            if self._is_brought(("data", key)):
                self._overridden.append(self._all_data)
                continue
            message = f"means nothing here: {SPLIT_BY_TESTBED}, and FederatedScope's loader is not used"
            self._document.report(("data", key), message, f"remove it; {LOADED_BY_FEDERATEDSCOPE}")

    def _take_addresses(self) -> None:
        section = self._tree.get("distribute", {})
        for key in [key for key in section if not key.startswith(USERS_DISTRIBUTE_PREFIX)]:
            given = section.pop(key)
            if known_keys().is_default(("distribute", key), given):
                continue
            if self._is_brought(("distribute", key)):
                self._overridden.append("distribute.*")
                continue
            why = "the testbed sets it: roles, addresses and ports come from the devices"
            self._document.report(("distribute", key), why, "remove it; only distribute.grpc_* may be set")

    def _take_verbosity(self) -> None:
        given = self._tree.get("verbose", 1)
        if type(given) is int and given >= 1:
            return
        if self._is_brought(("verbose",)):
            del self._tree["verbose"]
            self._overridden.append("verbose")
        else:
            self._document.report(
                ("verbose",), "must be at least 1: the course is followed by its log lines", "remove it"
            )

    def _fit_to_the_devices(self, clients: int | None) -> None:
        """Fit what was written for other folders and another number of clients."""
        federate = self._tree.get("federate", {})
        target = federate.get("save_to")
        if isinstance(target, str) and "/" in target:
            name = target.rpartition("/")[2]
            federate["save_to"] = name
            self._overridden.append(f"the folder of federate.save_to ({name or MODEL})")
        sampled = federate.get("sample_client_num")
        if type(sampled) is int and clients is not None and sampled > clients:
            # FederatedScope itself takes such a number for "all".
            del federate["sample_client_num"]
            self._overridden.append(f"federate.sample_client_num (all {clients})")


def _is_default(path: tuple[str, ...], value: Any) -> bool:
    if isinstance(value, dict):
        known = known_keys().below(path) is not None
        return known and all(_is_default((*path, key), below) for key, below in value.items())
    return known_keys().is_default(path, value)


def _format_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""What is known of FederatedScope's own data sets without loading them: what they hold, and what they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.yamlfile.spec_errors import PACKAGES_NOT_AT_HAND

from ..engine_values import Refusal, SplitData
from .data_files import unusable_files
from .other_data import clients_of, lacking, loaded_with, other_data

# Classes of the sets that have a fixed number of them.
_CLASSES = {
    "femnist": 62, "celeba": 2, "shakespeare": 80, "twitter": 2, "synthetic": 2, "cifar10@torchvision": 10,
    "cifar100@torchvision": 100, "mnist@torchvision": 10, "fashionmnist@torchvision": 10, "kmnist@torchvision": 10,
}  # fmt: skip
# LEAF's sets, and the folders below data.root/NAME that they are read from: the second is what the first is made of.
_LEAF = ("femnist", "celeba", "shakespeare", "subreddit", "twitter")
_LEAF_FOLDERS = ("processed", "raw")
# Folders below data.root where torchvision keeps a set; others are in one with their own name.
_TORCHVISION = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
# What each kind of set is loaded with, besides what FederatedScope always needs.
_PACKAGES = {
    "torchvision": ("torchvision",),
    "torchtext": ("torchtext",),
    "huggingface_datasets": ("datasets", "transformers"),
    "openml": ("openml",),
    "": (),
}
# LEAF's images become tensors in torchvision's transforms.
_LEAF_PACKAGES = {"femnist": ("PIL", "torchvision"), "celeba": ("PIL", "torchvision")}


def known_facts(tree: Mapping[str, Any]) -> SplitData:
    """What is known of the set that FederatedScope's ``data`` names; nothing of most."""
    name = str(tree.get("type", "")).lower()
    if name == "toy":
        return SplitData({}, shape=(5,), target_shape=(1,))
    if name == "quadratic":
        settings = tree.get("quadratic")
        size = settings.get("dim", 1) if isinstance(settings, Mapping) else 1
        return SplitData({}, shape=(size, size), target_shape=())
    return SplitData({}, _CLASSES.get(name), (150,) if name == "synthetic" else None)


def unknown_sets(tree: Mapping[str, Any], source: str | None) -> Iterator[Refusal]:
    """The set, if nobody has one of its name, and a file that it does not read.

    Args:
        tree: FederatedScope's ``data``.
        source: FederatedScope's, as the experiment names it.

    Raises:
        FedsimError: the source is wrong, or cannot be read.
    """
    from .data_names import unknown_set, unread_file
    from .source_at_hand import names_added_by
    from .source_in_use import resolve_source

    if wrong := unknown_set(str(tree.get("type")), names_added_by(resolve_source(source))):
        yield wrong
    if wrong := unread_file(tree):
        yield wrong


def not_loadable(
    tree: Mapping[str, Any], config: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], devices: Sequence[str]
) -> Iterator[Refusal]:
    """What stands against loading the set on this machine.

    Args:
        tree: FederatedScope's ``data``, with absolute paths.
        config: the course's configuration.
        parts: what a device gets of the data, by its name.
        devices: the server and the clients in the order of their numbers.
    """
    from .data_loader import interpreter  # brings numpy
    from .data_names import lacking_in_package

    python = interpreter()
    missing = missing_packages(tree, python, config)
    if not missing and (wrong := lacking_in_package(str(tree.get("type")), python)):
        yield wrong
    if missing:
        reason = f"FederatedScope loads it in {python}, which does not find {', '.join(missing)}"
        hint = "install what is missing, or name another interpreter as federatedscope.python in the user configuration"
        yield Refusal(("data", "type"), reason, hint, PACKAGES_NOT_AT_HAND)
    held, clients = clients_of(tree), config.get("federate", {}).get("client_num", 0)
    if held is not None and clients > held:
        reason = f"the set has data for {held} clients, and the experiment has {clients}"
        yield Refusal(("data", "type"), reason, f"at most {held} client devices")
    if str(tree.get("type")).lower() == "cikmcup":
        reason = "FederatedScope's loader looks for this set under another name than its configuration: it fails"
        yield Refusal(("data", "type"), reason, "choose another")
    if str(tree.get("type")).lower() == "file":
        yield from unusable_files(tree, parts, devices)
        return
    for device, part in parts.items():
        number = part.get("distribute", {}).get("data_idx", -1)
        if held is None and number >= len(devices):
            reason = f"the set is split among {len(devices) - 1} clients: it has no part {number}"
            yield Refusal(("distribute", "data_idx"), reason, "name one from 1 on, or remove it", device=device)


def not_in_images(tree: Mapping[str, Any], config: Mapping[str, Any], requirements: Sequence[str]) -> Iterator[Refusal]:
    """What the images of the devices lack for data that are no labelled samples; arguments as :func:`not_loadable`."""
    kind = other_data(config, tree)
    missing = [] if kind is None else lacking(kind, config, requirements)
    if missing:
        reason = f"devices train on {kind} with {', '.join(missing)}, which their images do not have"
        hint = "name it in federatedscope.requirements of the experiment file"
        yield Refusal(("data", "type"), reason, hint, PACKAGES_NOT_AT_HAND)


def download_notes(tree: Mapping[str, Any]) -> Iterator[str]:
    """Say that the set has to be downloaded, if it is known where it would be and is not there."""
    place = missing_data(tree)
    if place is not None:
        yield f"data set {tree['type']} is not in {place}: FederatedScope will have to download it when the run begins"


def missing_packages(tree: Mapping[str, Any], python: str, config: Mapping[str, Any] | None = None) -> list[str]:
    """Packages with which FederatedScope loads the set, and which the interpreter ``python`` does not find.

    ``config``: the course's configuration, which may say more of what the data are.
    """
    name, _, package = str(tree.get("type", "")).lower().partition("@")
    from .interpreter import LOADING, loading_interpreter, missing_modules

    kind = other_data(config or {}, tree)
    needed = _PACKAGES.get(package, ()) if package else _LEAF_PACKAGES.get(name, ())
    if kind is not None:
        needed = tuple(dict.fromkeys((*needed, *loaded_with(kind, tree))))
    try:
        return missing_modules(loading_interpreter(python), (*LOADING, *needed))
    except FedsimError:
        return []  # the interpreter itself is reported elsewhere


def missing_data(tree: Mapping[str, Any]) -> str | None:
    """Where the set would be on this machine, and is not; None: it is there, or it is not known where it would be.

    Args:
        tree: FederatedScope's ``data``, with absolute paths.
    """
    written, _, package = str(tree.get("type", "")).partition("@")
    name, root = written.lower(), Path(str(tree.get("root", "data")))
    if package.lower() == "torchvision":
        folder = root / _TORCHVISION.get(name, written)
        return None if _has_files(folder) else str(folder)
    if name in _LEAF and not package:
        return None if any(_has_files(root / name / folder) for folder in _LEAF_FOLDERS) else str(root / name)
    return None


def _has_files(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False

"""Makes every device's shard, and what the label table says of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog.data_sets import FEDERATEDSCOPE
from ..datasets.data_split import DataSplit, as_npz, count_labels, in_layout, make_shards
from ..datasets.labelled_samples import Samples


@dataclass(frozen=True)
class ShardFiles:
    """The shards of a run.

    Attributes:
        content: the bytes of one device's shard.
        sizes: samples by device and split.
        labels: samples by device, split and class.
        classes: their names; none where labels are targets, or are not known.
        shape: of one sample; None: data are no labelled samples.
        has_own_test_set: whether the server's test set is not a fraction held out.
    """

    content: Callable[[str], bytes]
    sizes: Mapping[str, Mapping[str, int]]
    labels: Mapping[str, Mapping[str, Mapping[str, int]]]
    classes: tuple[str, ...]
    shape: tuple[int, ...] | None
    has_own_test_set: bool


def make_shard_files(device_file: Mapping[str, Any]) -> ShardFiles:
    """Make the shards here; FederatedScope makes those of its own data sets, which it may download.

    Raises:
        ValueError: the data set is unknown, cannot be read, or is too small for the clients.
    """
    data, server = device_file["data"], device_file["course"]["server"]
    if data["dataset"] != FEDERATEDSCOPE:
        return _of_samples(make_shards(device_file), server)
    from .federatedscope.data_loader import OwnObjects, export_shards

    exported = export_shards(device_file)
    if not isinstance(exported, OwnObjects):
        shards, classes = exported
        made = DataSplit(in_layout(shards, data["layout"]), classes, True)
        return _of_samples(made, server, in_batches=str(data["tree"]["type"]).lower() != "file")
    others = [one for one in device_file["devices"] if one["engine"] != FEDERATEDSCOPE]
    if others:
        raise ValueError(
            f"data set {data['tree']['type']}: {exported.reason}: that is for engine federatedscope only, and "
            f"{others[0]['name']} has engine {others[0]['engine']}"
        )
    labels: dict[str, dict[str, dict[str, int]]] = {
        device: {split: {} for split in splits} for device, splits in exported.sizes.items()
    }
    return ShardFiles(exported.files.__getitem__, exported.sizes, labels, (), None, True)


def sizes_of(shards: Mapping[str, Mapping[str, Samples]]) -> dict[str, dict[str, int]]:
    """Samples by device and split."""
    return {device: {name: len(samples.y) for name, samples in splits.items()} for device, splits in shards.items()}


def _of_samples(made: DataSplit, server: str, in_batches: bool = False) -> ShardFiles:
    return ShardFiles(
        lambda device: as_npz(made.shards[device], in_batches),
        sizes_of(made.shards),
        {device: count_labels(splits, made.classes) for device, splits in made.shards.items()},
        made.classes,
        made.shards[server]["test"].x.shape[1:],
        made.has_own_test_set,
    )

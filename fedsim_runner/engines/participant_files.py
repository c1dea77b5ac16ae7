"""Each participant's input files and shard, and the run's label table."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..catalog.data_sets import FEDERATEDSCOPE
from ..contract.device_file import CourseSettings, Device, FederatedScopeSettings, InitialModel
from ..contract.link import Links
from ..contract.link_variation import Track, Variation, links_of
from ..contract.paths import INITIAL_MODEL, LAUNCHER, SHARD
from ..contract.records import LaunchSettings
from ..contract.routes import routes_to_server
from ..contract.slow_links import answer_s, slowest
from ..contract.time_scale import TimeScale
from ..contract.timeline import TimelineEntry, all_links, has_absences
from ..contract.topology import Topology
from ..contract.typed_json import load
from ..datasets.label_table import VERSION, read_table_file, total_by_device, write_table_file
from ..datasets.object_shards import holds_object
from .federatedscope.other_data import loader_settings, other_data
from .protocol import engine

STAMP = ".stamp.json"
# A device's data are for nobody else, also on the control node.
PRIVATE = 0o700
# Increase it when the same device file gives other bytes than before.
FORMAT = 7


@dataclass(frozen=True)
class RenderResult:
    """``labels``: samples by client and class. ``table``: the whole label table, see
    :mod:`fedsim_runner.datasets.label_table`."""

    changed: bool
    table: Mapping[str, Any]

    @property
    def labels(self) -> dict[str, dict[str, int]]:
        return total_by_device(self.table)


def render_participants(device_file: Mapping[str, Any], target: Path) -> RenderResult:
    """Write every device's input files to ``target/<device>/``: its engine's, ``shard.npz`` and ``launcher.json``; for
    a server that starts with a saved model also ``initial_model.pt``.

    Existing shards that were made from the same data are kept, and the user's files need not exist any more. The same
    holds for those of another run's ``participants`` folder that the device file names as ``data.rendered``.

    Args:
        device_file: as written by :mod:`fedsim_runner.inventory`.
        target: folder; created if it does not exist. ``labels.json`` in it is the label table.

    Raises:
        ValueError: the data set is unknown, cannot be read, or is too small for the clients; or the saved model cannot
            be read or has changed.
        OSError: ``target`` cannot be written.
    """
    stamp_path = target / f"{device_file['lab_host']}{STAMP}"
    names = [device["name"] for device in device_file["devices"]]
    launched = {name: settings.as_text() for name, settings in launch_settings(device_file).items()}
    fingerprints = {"shards": data_fingerprint(device_file), "settings": _settings_fingerprint(device_file, launched)}
    written_stamp = _read_stamp(stamp_path)
    found = _digests(target, written_stamp.get("files", {}))
    table = _table_of(target, fingerprints["shards"])
    stamp = {"format": FORMAT, "fingerprint": fingerprints, "files": found}
    if table is not None and written_stamp == stamp:
        return RenderResult(False, table)

    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        (target / name).mkdir(mode=PRIVATE, exist_ok=True)
    table = _provide_shards(device_file, target, names, table)
    written = [f"{name}/{SHARD}" for name in names]
    for device in device_file["devices"]:
        texts = dict(engine(device["engine"]).files(effective_config(device_file, device)))
        texts[LAUNCHER] = launched[device["name"]]
        for name, text in texts.items():
            (target / device["name"] / name).write_text(text, encoding="utf-8")
            written.append(f"{device['name']}/{name}")
        if device["role"] == "server":
            written += _provide_model(device_file["course"].get("initial_model"), target / device["name"])
    write_table_file(target, table)
    # Last: a half-written folder has no stamp and is written again.
    stamp["files"] = _digests(target, written)
    stamp_path.write_text(json.dumps(stamp) + "\n", encoding="utf-8")
    return RenderResult(True, table)


def effective_config(device_file: Mapping[str, Any], device: Mapping[str, Any]) -> dict[str, Any]:
    """The FederatedScope tree of one participant: the common tree, overridden by its own."""
    return override(device_file["course"]["config"], device["config"])


def override(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A tree with the values of another one in the place of its own."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = override(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def answer_times(device_file: Mapping[str, Any]) -> dict[str, int]:
    """Return for each device the seconds after which the slowest device that it talks to answers at the latest."""
    tracks = {name: load(Track, track) for name, track in device_file.get("tracks", {}).items()}
    planned = {device["name"]: _links(device, tracks) for device in device_file["devices"]}
    planned |= {peer["device"]: _links(peer, tracks) for peer in device_file.get("peers", {}).values()}
    timeline = _timeline(device_file)
    links = {
        name: slowest([link for one in some for link in all_links(name, one, timeline)])
        for name, some in planned.items()
    }
    server = device_file["course"]["server"]
    if server not in links:  # in device files of hosts without it, written by hand
        return dict.fromkeys(links, 0)
    between = device_file.get("topology")
    topology = None if between is None else load(Topology, between)
    scale, routes = TimeScale(device_file.get("time_factor", 1.0)), routes_to_server(server, links, topology)
    clients = {name: answer_s(route, scale) for name, route in routes.items()}
    return {**clients, server: max(clients.values(), default=0)}


def _links(device: Mapping[str, Any], tracks: Mapping[str, Track]) -> list[Links]:
    """All that the link of a device or peer may be."""
    variation = device.get("variation")
    return links_of(load(Links, device["link"]), None if variation is None else load(Variation, variation), tracks)


def launch_settings(device_file: Mapping[str, Any]) -> dict[str, LaunchSettings]:
    """What the launcher of each participant is given besides FederatedScope's own configuration, by device."""
    timeline, answers = _timeline(device_file), answer_times(device_file)
    course = load(CourseSettings, device_file["course"])
    federatedscope = load(FederatedScopeSettings, device_file["federatedscope"])
    goes_offline, is_parted = has_absences(timeline), any(entry.action == "partition" for entry in timeline)
    return {
        device["name"]: LaunchSettings.of(
            load(Device, device),
            course,
            federatedscope,
            goes_offline,
            answers[device["name"]],
            device_file.get("time_factor", 1.0),
            is_parted,
        )
        for device in device_file["devices"]
    }


def _timeline(device_file: Mapping[str, Any]) -> list[TimelineEntry]:
    return [load(TimelineEntry, entry) for entry in device_file.get("timeline", ())]


def data_fingerprint(device_file: Mapping[str, Any]) -> str:
    """SHA-256 of everything that determines the shards. Of the user's files the content counts, not the path."""
    data = {key: value for key, value in device_file["data"].items() if key not in ("path", "rendered")}
    if data.get("targets") != "numbers":  # runs of earlier versions have no other
        data.pop("targets", None)
    if not data.get("parts"):
        data.pop("parts", None)
    inputs = {
        "data": data,
        "server": device_file["course"]["server"],
        "clients": device_file["clients"],
    }
    if data["dataset"] == FEDERATEDSCOPE:
        config = device_file["course"]["config"]
        if other_data(config, data["tree"]) is not None:
            inputs["loader"] = loader_settings(config)
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _provide_shards(
    device_file: Mapping[str, Any], target: Path, names: Sequence[str], table: dict[str, Any] | None
) -> dict[str, Any]:
    """Make sure that every device's shard is in ``target``, and return the label table. ``table``: the existing one."""
    fingerprint = data_fingerprint(device_file)
    arrays_only = device_file["data"]["dataset"] != FEDERATEDSCOPE
    if table is not None and set(names) <= _good_shards(target, fingerprint, arrays_only):
        return table
    rendered = device_file["data"].get("rendered")
    if rendered is not None:
        kept = _table_of(Path(rendered), fingerprint)
        if kept is not None and set(names) <= _good_shards(Path(rendered), fingerprint, arrays_only):
            for name in names:
                shutil.copyfile(Path(rendered) / name / SHARD, target / name / SHARD)
            return kept
    # Only here: importing numpy takes longer than all the rest of a call that changes nothing.
    from .shard_files import make_shard_files

    made = make_shard_files(device_file)
    for name in names:
        (target / name / SHARD).write_bytes(made.content(name))
    data, server = device_file["data"], device_file["course"]["server"]
    return {
        "version": VERSION,
        "dataset": data["dataset"],
        "split": data["split"],
        "alpha": data["alpha"] if data["split"] in ("dirichlet", "quantity") else None,
        "test_fraction": None if made.has_own_test_set else data["test_fraction"],
        "seed": data["seed"],
        "layout": data["layout"],
        "shape": None if made.shape is None else list(made.shape),
        "sha256": data["sha256"],
        "fingerprint": fingerprint,
        "server": server,
        "clients": list(device_file["clients"]),
        "classes": list(made.classes),
        "devices": made.labels,
        "sizes": made.sizes,
    }


def _provide_model(wanted: Mapping[str, Any] | None, inputs: Path) -> list[str]:
    """Write the model that a server starts with to its inputs, if there is one; return the names of written files."""
    path = inputs / INITIAL_MODEL
    if wanted is None:
        path.unlink(missing_ok=True)  # of an earlier `up` of this run
        return []
    # Only here, as above: few courses have one.
    from .initial_model import initial_model_file

    path.write_bytes(initial_model_file(load(InitialModel, wanted)))
    return [f"{inputs.name}/{path.name}"]


def _table_of(participants: Path, fingerprint: str) -> dict[str, Any] | None:
    table = read_table_file(participants)
    return table if table is not None and table.get("fingerprint") == fingerprint else None


def _good_shards(participants: Path, fingerprint: str, arrays_only: bool) -> set[str]:
    """Devices whose shard matches a lab host's stamp and was made from the data with this fingerprint.

    In any format: a repetition trains on what the run trained on. ``arrays_only``: of a data set that FederatedScope
    does not load; an object in its place is code that somebody put there.
    """
    good = set()
    for path in participants.glob(f"*{STAMP}"):
        stamp = _read_stamp(path)
        if stamp.get("fingerprint", {}).get("shards") != fingerprint:
            continue
        shards = [name.removesuffix(f"/{SHARD}") for name in stamp["files"] if name.endswith(f"/{SHARD}")]
        found = _digests(participants, [f"{name}/{SHARD}" for name in shards])
        good |= {name for name in shards if found[f"{name}/{SHARD}"] == stamp["files"][f"{name}/{SHARD}"]}
    return {name for name in good if not (arrays_only and holds_object(participants / name / SHARD))}


def _settings_fingerprint(device_file: Mapping[str, Any], launched: Mapping[str, str]) -> str:
    keys = ("name", "role", "index", "engine", "config")
    devices = [{key: device[key] for key in keys} for device in device_file["devices"]]
    inputs = {
        "course": device_file["course"],
        "federatedscope": device_file["federatedscope"],
        "devices": devices,
        "launched": launched,
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _digests(folder: Path, names: Iterable[str]) -> dict[str, str | None]:
    """SHA-256 of files below ``folder`` by name; None for a file that is not there."""
    found: dict[str, str | None] = {}
    for name in names:
        path = folder / name
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return found


def _read_stamp(path: Path) -> dict[str, Any]:
    """A stamp's content; empty if it cannot be read or has another form."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(loaded, dict) and isinstance(loaded.get("fingerprint"), dict) and "files" in loaded
    return loaded if whole else {}

"""A run as its folder describes it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..contract.errors import Exit, FedsimError
from ..contract.paths import COLLECTED, LINK_COUNTERS, METRICS
from ..contract.plain_folder import require_plain
from ..participant.model_file import SavedModel
from ..results.comparison.run_folders import is_run_folder, rebuild_report
from ..results.run_files import of_agents, read_devices, read_host_clocks, read_journal, read_left_out, read_manifest
from ..results.run_report import FINISHED, RUNNING
from ..results.tables.compute import COLUMNS as COMPUTE_COLUMNS
from ..results.tables.cost import target_columns
from ..results.tables.devices import FIELDS
from ..results.tables.energy import COLUMNS as ENERGY_COLUMNS
from ..results.tables.hosts import FIELDS as HOST_FIELDS
from ..results.tables.label_counts import COLUMNS as LABEL_COLUMNS
from ..results.tables.label_counts import build_label_rows
from ..results.tables.links import COLUMNS as LINK_COLUMNS
from ..results.tables.time_split import FIELDS as SPLIT_FIELDS
from ..results.tables.timeline import COLUMNS as EVENT_COLUMNS
from ..runs.hold import is_held
from ..runs.lookup import find_run
from .models import load_model
from .plots import Plot, draw
from .rows import Row, Rows

# Columns of the agents' files with seconds of wall time; seconds of a processor are the same in any time.
SPANS = ("seconds", "throttled_seconds")


class Run:
    """What a run has left in its folder; of one that is not over, what it has left so far.

    The folder is read when something is first asked for, and not again: open the run anew to see what has changed.
    The columns of the tables are those of the report's files of these names (docs/report.md).

    Attributes:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        """Read the run in ``folder``; :func:`open_run` checks that it is one."""
        self.folder = folder

    def __repr__(self) -> str:
        return f"<run {self.name}: {self.status}>"

    # -- what the report says --------------------------------------------------------------------------------------

    @cached_property
    def report(self) -> Mapping[str, Any]:
        """The report as ``report.json`` has it, made anew from the other files."""
        report = rebuild_report(self.folder)
        if report["status"] != FINISHED and is_held(str(report["run"])):
            # To its files alone, a course without an end has failed.
            report |= {"status": RUNNING, "reason": None, "device": None}
        return MappingProxyType(report)

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """What ran: versions, images, kernel, seed and so on; empty if the folder has no manifest."""
        return MappingProxyType(read_manifest(self.folder))

    @property
    def name(self) -> str:
        """The run's name, by which the command knows it."""
        return str(self.report["run"])

    @property
    def status(self) -> str:
        """``finished``, ``failed``, ``interrupted`` or ``running``."""
        return str(self.report["status"])

    @property
    def reason(self) -> str | None:
        """Why it did not finish."""
        return None if self.report["reason"] is None else str(self.report["reason"])

    @property
    def final(self) -> Mapping[str, float | None]:
        """The results at the end of the course by FederatedScope's names (``test_acc``), or the last ones so far."""
        return MappingProxyType(self.report["final"])

    # -- tables ----------------------------------------------------------------------------------------------------

    @cached_property
    def rounds(self) -> Rows:
        """One row per round: results, times, which device was last (``rounds.csv``)."""
        return Rows(self.report["rounds"])

    @cached_property
    def devices(self) -> Rows:
        """One row per device: limits and link, how it ended, its means over all rounds (``devices.csv``)."""
        rows = [{"device": name, **entry} for name, entry in self.report["devices"].items()]
        return Rows(rows, ("device", *FIELDS))

    @cached_property
    def updates(self) -> Rows:
        """One row per model that was sent to a device: what became of its update, and when (``device_rounds.csv``)."""
        return Rows(self.report["device_rounds"], SPLIT_FIELDS)

    @cached_property
    def client_results(self) -> Rows:
        """One row per round and client with results: its own accuracy, loss and others (``client_results.csv``)."""
        return Rows(self.report["client_results"])

    @cached_property
    def targets(self) -> Rows:
        """One row per accuracy that was reached: what it cost (``targets.csv``)."""
        return Rows(self.report["targets"], target_columns(self.report))

    @cached_property
    def hosts(self) -> Rows:
        """One row per lab host: how busy it was during the course (``hosts.csv``)."""
        return Rows(self.report["hosts"], HOST_FIELDS)

    @cached_property
    def links(self) -> Rows:
        """One row per direction of a device's link: what it was measured to be before the course (``links.csv``)."""
        return Rows(self.report.get("links") or [], LINK_COLUMNS)

    @cached_property
    def compute(self) -> Rows:
        """One row per device with a CPU limit: how it was served while it computed (``compute.csv``)."""
        return Rows(self.report.get("compute") or [], COMPUTE_COLUMNS)

    @cached_property
    def energy(self) -> Rows:
        """One row per device whose type has power figures: what energy it would have taken (``energy.csv``)."""
        return Rows(self.report.get("energy") or [], ENERGY_COLUMNS)

    @cached_property
    def timeline(self) -> Rows:
        """One row per event of the experiment: when it began, and what was in force then (``events.csv``)."""
        return Rows(self.report.get("events") or [], EVENT_COLUMNS)

    @cached_property
    def labels(self) -> Rows:
        """One row per label of a device: how many samples it has (``labels.csv``)."""
        return Rows(build_label_rows(self.report["labels"]), LABEL_COLUMNS)

    @cached_property
    def samples(self) -> Rows:
        """One row per device and second: its use of memory, processor and network (``metrics.csv``)."""
        return Rows(self._of_all_lab_hosts(METRICS))

    @cached_property
    def link_counters(self) -> Rows:
        """One row per direction of a link and second in which something passed it or waited (``link_counters.csv``)."""
        return Rows(self._of_all_lab_hosts(LINK_COUNTERS))

    @cached_property
    def events(self) -> Rows:
        """One row per event of the run, in order of time (``journal.jsonl``): each kind has columns of its own."""
        return Rows(event.as_dict() for event in read_journal(self.folder))

    def _of_all_lab_hosts(self, name: str) -> Iterator[Row]:
        """Rows of each agent's file, with times by the clock of the server's lab host, in device time."""
        clocks = read_host_clocks(self.folder)
        for host, path in of_agents(self.folder, name).items():
            scale = clocks[host].device_time.scale
            for row in _read_samples(path):
                times = {key: scale.to_device(row[key]) for key in SPANS if isinstance(row.get(key), float)}
                if isinstance(moment := row.get("t"), float):
                    times["t"] = clocks[host].correct(moment)
                yield {**row, **times}

    # -- the rest --------------------------------------------------------------------------------------------------

    @property
    def figures(self) -> list[str]:
        """The names of the report's figures; whether there are data for one shows when it is drawn."""
        from ..results.figures import figures_of

        return list(figures_of(self.folder, self.report))

    def plot(self, figure: str) -> Plot:
        """Draw a figure of the report.

        Raises:
            FedsimError: there is no such figure, or the run has no data for it.
        """
        from ..results.figures import figures_of

        return draw(figure, f"run {self.name}", figures_of(self.folder, self.report))

    @property
    def model_path(self) -> Path:
        """Where the global model is after the last round; a run that did not finish has no such file.

        Raises:
            FedsimError: the run's version did not save it.
        """
        devices, _ = read_devices(self.folder)
        server = next((name for name, entry in devices.items() if entry.get("role") == "server"), "server")
        config = devices.get(server, {}).get("config")
        federate = config.get("federate") if isinstance(config, dict) else None
        saved = federate.get("save_to") if isinstance(federate, dict) else None
        if not isinstance(saved, str) or not _is_name(saved) or not _is_name(server):
            raise FedsimError(f"run {self.name} saved no model: only fedsim-runner from 0.2.0 on does", Exit.SPEC)
        return self.folder / COLLECTED / server / saved

    def model(self) -> SavedModel:
        """Load the global model after the last round.

        Raises:
            FedsimError: the run has no such file, as it did not finish or the model is too large to be collected; or
                the file is no model.
        """
        path = self.model_path
        if not path.exists():
            inside = path.relative_to(self.folder)
            why = next((one for one in read_left_out(self.folder) if one.startswith(f"{inside}: ")), None)
            reason = "" if why is None else f", which was not collected: {why.partition(': ')[2]}"
            raise FedsimError(f"run {self.name} ({self.status}) has no {inside}{reason}", Exit.SPEC)
        return load_model(path)

    def log(self, device: str) -> str:
        """What a device's participant printed; empty if it was not collected.

        Raises:
            FedsimError: the run has no such device.
        """
        if device not in self.report["devices"] or not _is_name(device):
            raise FedsimError(f"run {self.name} has no device {device}", Exit.SPEC)
        path = self.folder / COLLECTED / device / "console.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def open_run(run: str | PathLike[str], runs_dir: str | PathLike[str] = "runs") -> Run:
    """Open a run by its folder or its name. Nothing in the folder is run, followed or changed.

    Args:
        run: the folder, or the name as the command printed it.
        runs_dir: where run folders are, for names that this user's register does not have.

    Raises:
        FedsimError: there is no such run, or its folder holds links or pipes.
    """
    path = Path(run)
    folder: Path | None = path if path.is_dir() else None
    if folder is None and "/" not in str(run):
        folder = find_run(str(run), Path(runs_dir)).folder
    if folder is None or not is_run_folder(folder):
        raise FedsimError(f"{run}: there is no such run, or it is not a run folder", Exit.SPEC)
    require_plain(folder)
    return Run(folder.resolve())


def _is_name(name: str) -> bool:
    """Whether a text is the name of a file and no path: a run folder may be from anybody."""
    return name == Path(name).name and name not in ("", "..")


def _read_samples(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            for row in csv.DictReader(stream):
                if row.get("device"):
                    yield {name: _value(name, text) for name, text in row.items() if name is not None}
    except (OSError, csv.Error):
        return


def _value(name: str, text: str | None) -> Any:
    if name in ("device", "direction") or not text:
        return text or None
    try:
        return float(text)
    except ValueError:
        return None

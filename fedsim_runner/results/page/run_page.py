"""report.html: one file that loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fedsim_runner import __version__
from fedsim_runner.contract.log_text import harmless

from ..figures import Drawn
from ..figures.device_rows import busy_seconds, rows_by_time
from ..findings import compute_waiting_share, describe_findings
from ..run_files import read_manifest
from ..tables.rounds import mean_round_seconds
from .formats import FILTERS, UNKNOWN, flat, text
from .glyphs import Glyphs
from .metrics import ACCURACIES, LOSSES, NAMES, find_metric

# More rows by round and device are only in the CSV file.
MAX_TASK_ROWS = 400
TEMPLATES = Path(__file__).resolve().parent / "templates"
# What the reader of a paper wants to know first, by its path in the manifest.
PROVENANCE = (
    ("Started", "started_utc"),
    ("Ended", "ended_utc"),
    ("Mode", "mode"),
    ("fedsim-runner", "fedsim_runner"),
    ("fedsim-runner's revision", "fedsim_runner_source"),
    ("Repeats the run", "repeats"),
    ("Compared with that run", "repetition.result"),
    ("Experiment file (SHA-256)", "spec_sha256"),
    ("Resolved experiment (SHA-256)", "inputs_sha256"),
    ("Seed", "seed"),
    ("CPU factor", "cpu_factor"),
    ("Time", "time"),
    ("Time factor", "time_factor"),
    ("Link back end", "link_backend"),
    ("Kernel of the lab host", "agent.kernel"),
    ("Kernel of the control node", "control_node.kernel"),
    ("TCP congestion control", "agent.congestion_control"),
    ("Docker Engine", "engine.version"),
    ("cgroups", "engine.cgroup_version"),
    ("Python", "control_node.python"),
)
# Parts of the manifest that are shown on one line each, whatever they contain.
LISTED = (
    ("Differences", "repetition.differs"),
    ("Packages", "control_node.packages"),
    ("FederatedScope", "federatedscope"),
    ("Policies", "policies"),
    ("Patches switched off", "patches_off"),
    ("Images", "images"),
)


def make_environment() -> jinja2.Environment:
    """Return an environment whose templates escape everything that a run puts into them, and control no terminal."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.ChainableUndefined,
        finalize=_harmless,
    )
    made.filters.update(FILTERS)
    return made


def _harmless(value: object) -> object:
    return harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def prepare_figures(figures: Mapping[str, Drawn]) -> dict[str, Any]:
    """Return the figures, and the shapes of their letters, as templates need them.

    Their text was escaped when they were drawn.
    """
    glyphs = Glyphs()
    prepared = {
        name: {
            "title": one.title,
            "caption": one.caption,
            "picture": Markup(glyphs.share(one.svg)),
            "narrow": Markup(glyphs.share(one.narrow_svg or one.svg)),
            "table": one.table,
        }
        for name, one in figures.items()
    }
    return {"figures": prepared, "glyphs": glyphs.definitions()}


def render_page(run_dir: Path, report: Mapping[str, Any], figures: Mapping[str, Drawn], problems: list[str]) -> str:
    """Return the page of one run. ``problems``: messages about what could not be drawn."""
    manifest = read_manifest(run_dir)
    rounds = report.get("rounds") or []
    sent = [entry["bytes_up"] for entry in report["devices"].values() if entry.get("bytes_up") is not None]
    timed = [(name, entry) for name, entry in report["devices"].items() if entry.get("rounds")]
    marked = _marked(report, [name for name, _ in timed])
    if marked:  # among so many, nobody looks for a name
        timed.sort(key=lambda item: -(busy_seconds(item[1]) or 0.0))
    results = [key for key in (find_metric(rounds, ACCURACIES), find_metric(rounds, LOSSES)) if key]
    return make_environment().get_template("report.html.j2").render(
        report=report,
        manifest=manifest,
        **prepare_figures(figures),
        problems=problems,
        happened=describe_findings(report),
        score=_score(report),
        mean_round=mean_round_seconds(rounds),
        bytes_total=sum(sent) if sent else None,
        waiting=compute_waiting_share(report),
        results=results,
        names=NAMES,
        split=bool(report.get("device_rounds")),
        timed=timed,
        marked=marked,
        task_rows=_task_rows(report, marked),
        provenance=_provenance(manifest),
        manifest_rows=list(flat(manifest)),
        version=__version__,
    )  # fmt: skip


def _marked(report: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Return what is special about the devices that stand for all in the figures of time; empty if all are there."""
    shown = rows_by_time(report, names)
    return {name: word for word, first, last in shown.groups for name in shown.names[first : last + 1]}


def _task_rows(report: Mapping[str, Any], marked: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Return the rows by round and device that the page shows: all, or those of the marked devices, or none."""
    rows = report.get("device_rounds") or []
    if len(rows) > MAX_TASK_ROWS:
        rows = [row for row in rows if row["device"] in marked]
    return list(rows) if len(rows) <= MAX_TASK_ROWS else []


def _score(report: Mapping[str, Any]) -> dict[str, Any]:
    final = report.get("final") or {}
    key = next((key for key in (*ACCURACIES, *LOSSES) if final.get(key) is not None), "test_acc")
    return {"name": f"{NAMES[key].lower()} at the end", "value": final.get(key)}


def _provenance(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(name, _one_line(value)) for name, path in PROVENANCE if (value := _at(manifest, path)) is not None]
    for name, path in LISTED:
        value = _at(manifest, path)
        if value and name == "Images":
            rows += [(f"Image {image}", _image(facts)) for image, facts in value.items()]
        elif value:
            rows.append((name, _one_line(value)))
    return rows


def _one_line(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(text, value))
    return ", ".join(f"{key} {found}" if key else found for key, found in flat(value) if found != UNKNOWN)


def _image(facts: object) -> str:
    if not isinstance(facts, Mapping):
        return text(facts)
    digests = facts.get("digests")
    return ", ".join(map(str, digests)) if isinstance(digests, list) and digests else text(facts.get("id"))


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value

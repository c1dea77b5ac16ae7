"""Repeating a run from its folder alone (see :mod:`fedsim_runner.runs.inputs` for what it contains)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ...contract.errors import Exit, FedsimError
from ...contract.paths import JOURNAL, MANIFEST, REPORT
from ...contract.plain_folder import require_plain
from ...engines.federatedscope.source import SettingsError, SourceError
from ...engines.federatedscope.wheel import source_manifest
from ...results.page import try_publish
from ...results.run_files import read_json, read_manifest
from ...spec.experiment import Experiment
from ...testbed.protocol import Testbed
from ...user_folders import expand_user
from ..folder import give_to_user
from ..inputs import SPEC, kept_wheel, read_experiment
from ..lifecycle import Report, run_experiment
from ..lookup import find_run
from ..manifest import MANIFEST_VERSION, inputs_digest, spec_digest
from ..options import DEFAULT_RUNS_DIR, Repeated, RunOptions
from ..trust import code_of, refuse_untrusted
from .comparison import compare_rounds, describe_rounds, differing_facts


@dataclass(frozen=True)
class Original:
    """A run that can be repeated from its folder. ``experiment`` names code that is not trusted yet."""

    run: str
    folder: Path
    manifest: dict[str, Any]
    report: dict[str, Any]
    experiment: Experiment

    @property
    def testbed(self) -> str:
        """The name of its testbed's kind."""
        return str(self.manifest["mode"])


def open_original(run: str, runs_dir: Path = DEFAULT_RUNS_DIR) -> Original:
    """Find a run by its folder or its name.

    Raises:
        FedsimError: there is no such run, or its folder is incomplete, damaged, or of another version.
    """
    folder = _find(run, runs_dir).resolve()
    manifest = _read_manifest(folder)
    require_plain(folder)
    changed = [
        name
        for name, recorded, found in (
            (SPEC, manifest.get("spec_sha256"), spec_digest(folder)),
            ("inputs/experiment.json", manifest.get("inputs_sha256"), inputs_digest(folder)),
        )
        if found is not None and recorded is not None and recorded != found
    ]
    if changed:
        raise FedsimError(
            f"{folder}: {' and '.join(changed)} changed after the run, and a rerun repeats what ran; "
            f"run the changed experiment with: fedsim-provision run {folder / SPEC}",
            Exit.SPEC,
        )
    return Original(str(manifest["run"]), folder, manifest, read_json(folder / REPORT), read_experiment(folder))


def rerun(
    original: Original, options: RunOptions, console: Console, testbed: Testbed, trust: bool = False
) -> tuple[Exit, Report]:
    """Run it again under a new name; print how far the two runs differ and record it in the new manifest.

    Args:
        trust: also run code that came with the folder: Dockerfiles, the source of an engine.

    Raises:
        UntrustedCodeError: the folder has such code, and it is not trusted.
        FedsimError: nothing was started.
    """
    experiment = _experiment_to_repeat(original, testbed, console, trust)
    console.print(f"repeating run {original.run} ({original.folder})", markup=False, highlight=False)
    options = replace(options, repeats=Repeated(original.run, original.folder))
    code, report = run_experiment(experiment, options, console, testbed)
    folder = options.runs_dir / str(report["run"])
    manifest = read_json(folder / MANIFEST)
    facts = differing_facts(original.manifest, manifest)
    rounds = compare_rounds(original.report, report)
    comparison = describe_rounds(rounds)
    manifest["repetition"] = {"of": original.run, "result": comparison, "differs": facts, "rounds": asdict(rounds)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    # The page was written before the two runs could be compared.
    if problem := try_publish(folder, report):
        console.print(problem, style="yellow", markup=False, highlight=False)
    give_to_user(folder)
    console.print(f"compared with {original.run}: {comparison}", markup=False, highlight=False)
    if facts:
        console.print("differences between the two that may change results or times:", style="yellow")
    for fact in facts:
        console.print(f"  {fact}", markup=False, highlight=False)
    return code, report


def _experiment_to_repeat(original: Original, testbed: Testbed, console: Console, trust: bool) -> Experiment:
    with_docker = testbed.traits.builds_images
    if not trust:
        refuse_untrusted(original.experiment, original.folder, with_docker)
        # The user's own source is the same code; what the folder names is not even looked at.
        return replace(original.experiment, federatedscope_source=None)
    for code in code_of(original.experiment, original.folder, with_docker):
        console.print(f"trusted (--trust): {code}", markup=False, highlight=False)
    return _with_same_source(original.experiment, original.manifest, original.folder)


def _with_same_source(experiment: Experiment, manifest: Mapping[str, Any], folder: Path) -> Experiment:
    """With the FederatedScope source of the code that ran: the original one if unchanged, else the kept wheel."""
    wheel = kept_wheel(folder)
    if wheel is None:
        return experiment
    recorded = manifest.get("federatedscope")
    digest = recorded.get("sha256") if isinstance(recorded, Mapping) else None
    try:
        # Preferred, as its images exist already and have the same keys.
        same = digest is not None and source_manifest(experiment.federatedscope_source)["sha256"] == digest
    except (SettingsError, SourceError):
        same = False
    return experiment if same else replace(experiment, federatedscope_source=str(wheel))


def _find(run: str, runs_dir: Path) -> Path:
    path = expand_user(run, "RUN")
    if path.is_dir():
        return path
    if "/" in run:
        raise FedsimError(f"there is no run folder {run}", Exit.SPEC)
    known = find_run(run, runs_dir).folder
    if known is not None:
        return known
    names = [entry.name for entry in runs_dir.iterdir() if entry.is_dir()] if runs_dir.is_dir() else []
    near = difflib.get_close_matches(run, names, n=1, cutoff=0.5)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    raise FedsimError(f"no run {run} is known, and there is no folder {runs_dir / run}{hint}", Exit.SPEC)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        if (folder / JOURNAL).exists():
            raise FedsimError(
                f"{folder} has what lab hosts have of a run, and not its experiment: a run is repeated on the control "
                "node where it was started, or from its run folder there",
                Exit.SPEC,
            )
        raise FedsimError(f"{folder} is not a run folder: it has no {MANIFEST}", Exit.SPEC)
    manifest = read_manifest(folder)
    if not manifest:
        raise FedsimError(f"{path} is damaged", Exit.SPEC)
    if manifest.get("version") != MANIFEST_VERSION:
        writer, found = manifest.get("fedsim_runner") or "of an unknown version", manifest.get("version") or 0
        raise FedsimError(
            f"{path} has version {found}, from fedsim-runner {writer}; this one reads version {MANIFEST_VERSION}",
            Exit.SPEC,
        )
    if not isinstance(manifest.get("run"), str) or not isinstance(manifest.get("mode"), str):
        raise FedsimError(f"{path} is damaged: it names no run", Exit.SPEC)
    return manifest

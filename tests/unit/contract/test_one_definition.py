"""Everything that two processes agree on is defined once: no label, path, run-id pattern or error root elsewhere."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedsim_runner.contract import names, paths
from fedsim_runner.contract.errors import Exit, FedsimError

REPOSITORY = Path(__file__).parents[3]
CONTRACT = REPOSITORY / "plugins" / "module_utils" / "_contract"
SOURCES = [
    path
    for folder in ("fedsim_runner", "plugins", "benchmarks")
    for path in sorted((REPOSITORY / folder).rglob("*.py"))
    if CONTRACT not in path.resolve().parents
]
# Names of files and folders with a single meaning. (config.yaml is also the name of the user configuration.)
PATHS = [
    paths.DEVICE_FILE,
    paths.LAUNCHER,
    paths.SHARD,
    paths.EXIT_RECORD,
    paths.GATE_LOST,
    paths.JOURNAL,
    paths.METRICS,
    paths.HOST_LOAD,
    paths.LINK_COUNTERS,
    paths.SNAPSHOT,
    paths.CONTAINERS,
    paths.MANIFEST,
    paths.PLAN,
    paths.REPORT,
    paths.DEVICE_FILES,
    paths.COLLECTED,
]
FOLDERS = re.compile(rf"{paths.STATE_ROOT}|/fedsim/(in|out|gate)\b")
# A label that only the benchmark uses.
ALLOWED = {"org.fedsim.benchmark"}


@functools.cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


@functools.cache
def literals(path: Path) -> list[tuple[int, str]]:
    """String constants of a source file except docstrings and the documentation of modules."""
    tree = parsed(path)
    prose = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            prose.add(node.value)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            targets = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if targets & {"DOCUMENTATION", "EXAMPLES", "RETURN"}:
                prose.add(node.value)
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose
    ]


def found(wrong: re.Pattern[str] | list[str]) -> list[str]:
    # Most files do not have the text anywhere, and parsing takes far longer than searching.
    anywhere = wrong if isinstance(wrong, re.Pattern) else re.compile("|".join(map(re.escape, wrong)))
    return [
        f"{path.relative_to(REPOSITORY)}:{line}: {text!r}"
        for path in SOURCES
        if anywhere.search(text_of(path))
        for line, text in literals(path)
        if text not in ALLOWED and (text in wrong if isinstance(wrong, list) else wrong.search(text))
    ]


def test_labels_are_named_in_the_contract_only() -> None:
    assert found(re.compile(r"org\.fedsim\.")) == []


def test_paths_are_named_in_the_contract_only() -> None:
    # Docker's archives of images have a file that is called as one of a run's.
    images = re.compile(r"_image_blobs\.py:\d+: 'manifest\.json'$")
    assert [one for one in found(PATHS) if not images.search(one)] == []
    assert found(FOLDERS) == []


def test_the_run_id_pattern_is_defined_once_and_the_role_has_the_same() -> None:
    assert found(re.compile(re.escape(names.RUN_PATTERN.pattern))) == []
    role = (REPOSITORY / "roles" / "preflight" / "vars" / "main.yml").read_text(encoding="utf-8")
    assert f"match('{names.RUN_PATTERN.pattern}$')" in role


def test_the_device_images_run_as_the_uid_of_the_contract() -> None:
    named = {
        match
        for path in (REPOSITORY / "dockerfiles").rglob("Dockerfile")
        for match in re.findall(r"^USER (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named - {"root"} == {f"{names.IMAGE_UID}:{names.IMAGE_UID}"}


def test_plays_and_images_have_the_paths_of_the_contract() -> None:
    variables = (REPOSITORY / "playbooks" / "group_vars" / "lab_hosts.yml").read_text(encoding="utf-8")
    assert f"default('{paths.STATE_ROOT}')" in variables
    assert f"fedsim_state_dir ~ '/{paths.DEVICE_FILE}'" in variables
    base = (REPOSITORY / "dockerfiles" / "base" / "Dockerfile").read_text(encoding="utf-8")
    assert f"mkdir -p {paths.DEVICE_INPUTS} {paths.DEVICE_OUTPUTS} {paths.DEVICE_GATE}" in base


def test_files_are_replaced_by_one_function() -> None:
    copies = re.compile(r"with_(name|suffix)\([^)]*(\.new|\.draft|\.tmp|\.part)\b|os\.replace\(")
    wrong = [path for path in SOURCES if copies.search(text_of(path))]
    assert wrong == []


@pytest.mark.parametrize("good", ["a", "a-1", "0", "x" * 60])
def test_run_ids(good: str) -> None:
    assert names.check_run(good) == good


@pytest.mark.parametrize("bad", ["", "-a", "A", "a_b", "a/..", "a\n", "x" * 61])
def test_what_is_not_a_run_id(bad: str) -> None:
    with pytest.raises(names.RunNameError, match="is not a run name") as refused:
        names.check_run(bad, "run name")
    assert refused.value.exit is Exit.SPEC


def error_classes() -> Iterator[tuple[str, list[str]]]:
    """Exception classes of the sources with the names of their bases."""
    anywhere = re.compile(r"\bclass \w+\([^)]*(Errors?|Exception)\b")
    for path in [*SOURCES, *CONTRACT.glob("*.py")]:
        if not anywhere.search(text_of(path)):
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                if any(base.endswith(("Error", "Errors", "Exception")) for base in bases):
                    yield node.name, bases


def test_every_error_descends_from_the_one_root() -> None:
    classes = dict(error_classes())
    assert len(classes) > 20
    # SIGTERM arrived: not an Exception, so that no engine swallows it. And work that was stopped early is not an error.
    del classes["Terminated"], classes["Stopped"]
    # In a program for an interpreter that has none of our packages.
    del classes["_NoArraysError"]
    of_ours = {FedsimError.__name__}
    for _ in classes:
        of_ours |= {name for name, bases in classes.items() if of_ours & set(bases)}
    assert set(classes) - of_ours == set()


def test_an_error_says_who_must_act_and_what_helps() -> None:
    class NoRoomError(FedsimError):
        exit = Exit.LAB
        hint = "remove old runs"

    assert str(NoRoomError("no room")) == "no room: remove old runs"
    assert NoRoomError("no room").exit is Exit.LAB
    other = NoRoomError("no room", Exit.SPEC, "ask for less", said="df: 0")
    assert (str(other), other.exit, other.message) == ("no room: df: 0: ask for less", Exit.SPEC, "no room")
    assert FedsimError("unknown").exit is Exit.INTERNAL

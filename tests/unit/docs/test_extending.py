"""docs/extending.md can be followed to the letter: each how-to is carried out in a copy of the checkout.

The word behind a block's language says what becomes of it:

new=PATH                    a file with this content
add=PATH                    appended to the file
add=PATH after='TEXT'       inserted after the one line that has TEXT
add=PATH before='TEXT'      inserted before it
replace=PATH with='TEXT'    in place of it
install=FOLDER              the project in FOLDER is installed: its metadata and its files are put on Python's path
(``console``)               commands behind ``$ ``, each followed by what it prints; ``...`` stands for anything
(``pycon``)                 a Python session
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = REPOSITORY / "docs" / "extending.md"
BLOCK = re.compile(r"^```(\w+) ?(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
# What a checkout has beside what is committed.
LEFT_OUT = {"build", "dist", "runs", "venv"}
# A FederatedScope with a place to patch.
MADE_UP = {"federatedscope/__init__.py": "", "federatedscope/plots.py": 'def draw(results):\n    return "savefig"\n'}


@dataclass(frozen=True)
class Block:
    language: str
    options: dict[str, str]
    content: str


@dataclass(frozen=True)
class HowTo:
    """A section: its blocks, and the text around them with its white space normalised."""

    name: str
    blocks: tuple[Block, ...]
    prose: str


def how_tos() -> list[HowTo]:
    found = []
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        blocks = [
            Block(language, dict(word.split("=", 1) for word in shlex.split(words)), content)
            for language, words, content in BLOCK.findall(section)
        ]
        found.append(HowTo(section.splitlines()[0], tuple(blocks), " ".join(BLOCK.sub("", section).split())))
    return found


HOW_TOS = {one.name: one for one in how_tos()}
WITH_ANSIBLE = ("Module", "Role")


def test_there_is_one_for_each_kind_of_addition() -> None:
    assert list(HOW_TOS) == [
        "Device type",
        "Network profile",
        "Verb",
        "Event",
        "Exit code",
        "Patch",
        "Link back end",
        "Engine",
        "Testbed",
        "Module",
        "Role",
        "Fault scenario",
    ]


def test_the_tests_that_contributing_runs_are_there() -> None:
    page = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path, _, word in re.findall(r"-m pytest (tests/\S+)( -k (\w+))?", page):
        assert (REPOSITORY / path).exists()
        assert not word or word in (REPOSITORY / path).read_text(encoding="utf-8"), f"{path} has no test {word}"


@pytest.mark.parametrize("name", HOW_TOS)
def test_a_reader_sees_where_each_block_goes(name: str) -> None:
    prose = HOW_TOS[name].prose
    assert "Files it adds: " in prose
    added = prose.split("Files it adds: ")[1]
    for block in HOW_TOS[name].blocks:
        for key, value in block.options.items():
            if key == "new" and ("/" not in value or value.startswith(("playbooks", "tests"))):
                continue  # scratch files, plays and cases are introduced by a sentence
            shown = value.strip() if key in ("after", "before", "with") else value
            assert shown in (added if key == "new" else prose), f"{name}: the text does not name {value}"


@pytest.mark.parametrize("name", HOW_TOS)
def test_blocks_are_what_they_say(name: str) -> None:
    for block in HOW_TOS[name].blocks:
        if block.language == "python" and "new" in block.options:
            ast.parse(block.content)
        elif block.language == "toml":
            tomllib.loads(block.content)
        elif block.language == "yaml":
            yaml.safe_load(block.content)
        elif block.language == "json":
            json.loads(block.content)


@pytest.mark.parametrize("name", HOW_TOS)
def test_each_line_has_its_place(name: str) -> None:
    for block in HOW_TOS[name].blocks:
        if target := block.options.get("add") or block.options.get("replace"):
            _span((REPOSITORY / target).read_text(encoding="utf-8").splitlines(), block)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.ansible if name in WITH_ANSIBLE else pytest.mark.process)
        for name in HOW_TOS
    ],
)
def test_it_works_as_it_says(name: str, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(REPOSITORY, checkout, symlinks=True, ignore=left_out)
    path = [checkout]
    if name == "Patch":
        path.append(tmp_path / "upstream")
        for file, content in MADE_UP.items():
            write(path[-1] / file, content)
    for number, block in enumerate(HOW_TOS[name].blocks):
        place(block, checkout)
        if "install" in block.options:
            path += install(checkout / block.options["install"], tmp_path / "site")
        variables = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "ANSIBLE_CONFIG": str(checkout / "ansible.cfg"),
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        }
        if block.language == "console":
            for command, expected in commands(block.content):
                done = run(["sh", "-c", command], checkout, variables)
                assert done.returncode == 0, f"$ {command}\n{done.stdout}"
                assert re.fullmatch(pattern(expected), flat(done.stdout)), f"$ {command}\n{done.stdout}"
        elif block.language == "pycon":
            session = write(tmp_path / f"session{number}.txt", block.content)
            done = run([sys.executable, "-m", "doctest", str(session)], checkout, variables)
            assert done.returncode == 0, done.stdout


def left_out(folder: str, names: list[str]) -> set[str]:
    """What a copy does not need."""
    at_the_root = LEFT_OUT if Path(folder) == REPOSITORY else set()
    return {name for name in names if name.startswith(".") or name == "__pycache__" or name in at_the_root}


def place(block: Block, checkout: Path) -> None:
    """Write a block's file, or put its lines where they belong."""
    options = block.options
    if "new" in options:
        assert not (checkout / options["new"]).exists()
        write(checkout / options["new"], block.content)
    if target := options.get("add") or options.get("replace"):
        path = checkout / target
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        at, until = _span(lines, block)
        lines[at:until] = [block.content]
        path.write_text("".join(lines), encoding="utf-8")


def _span(lines: list[str], block: Block) -> tuple[int, int]:
    """Between which lines of its file a block belongs; those between them it replaces."""
    options = block.options
    anchor = options.get("after") or options.get("before") or options.get("with")
    if anchor is None:
        return len(lines), len(lines)
    found = [number for number, line in enumerate(lines) if anchor in line]
    assert len(found) == 1, f"{len(found)} lines have {anchor}"
    at = found[0] + ("after" in options)
    return at, at + ("replace" in options)


def install(project: Path, site: Path) -> list[Path]:
    """What pip would do, without a network: the folders that Python has to know."""
    said = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = site / f"{said['name'].replace('-', '_')}-{said['version']}.dist-info"
    write(metadata / "METADATA", f"Metadata-Version: 2.1\nName: {said['name']}\nVersion: {said['version']}\n")
    lines = [
        line
        for group, points in said["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    write(metadata / "entry_points.txt", "\n".join(lines) + "\n")
    return [project, site]


def commands(content: str) -> list[tuple[str, list[str]]]:
    """Each command with the lines that follow it."""
    found: list[tuple[str, list[str]]] = []
    for line in content.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def pattern(expected: list[str]) -> str:
    """A regular expression for an output; one that is not shown may be anything."""
    text = flat("\n".join(expected)) if expected else "..."
    return (
        "(?s:"
        + re.escape(text)
        .replace(re.escape(" ... "), ".*")
        .replace(re.escape("... "), ".*")
        .replace(re.escape(" ..."), ".*")
        .replace(re.escape("..."), ".*")
        + ")"
    )


def flat(output: str) -> str:
    return " ".join(output.split())


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def run(command: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )

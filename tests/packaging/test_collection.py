"""The collection's artefact; it and the wheel carry the same files."""

from __future__ import annotations

import shutil
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.packaging.conftest import REPOSITORY, run

pytestmark = pytest.mark.ansible

COLLECTION = Path("ansible_collections", "fedsim", "testbed")
# The checks of ansible-test that need no internet. ansible-doc, import, pep8, pylint, runtime-metadata,
# validate-modules and yamllint install their requirements first; exceptions for validate-modules are in tests/sanity.
SANITY = (
    "action-plugin-docs",
    "changelog",
    "compile",
    "empty-init",
    "ignores",
    "line-endings",
    "no-assert",
    "no-get-exception",
    "no-illegal-filenames",
    "no-smart-quotes",
    "replace-urlopen",
    "shebang",
    "symlinks",
    "use-argspec-type-path",
    "use-compat-six",
)
CONTRACT = Path("plugins", "module_utils", "_contract")


@pytest.fixture(scope="session")
def from_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collections path inside the unpacked wheel."""
    folder = tmp_path_factory.mktemp("unpacked-wheel")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder / "fedsim_runner" / "_content" / "collections"


@pytest.fixture(scope="session")
def from_artefact(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collections path into which ansible-galaxy has installed the artefact."""
    folder = tmp_path_factory.mktemp("installed-artefact")
    program = str(Path(sys.executable).parent / "ansible-galaxy")
    done = run([program, "collection", "install", "--offline", "-p", str(folder), str(artefact)], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder, except Python's bytecode."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_galaxy_and_pip_have_the_same_version() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    galaxy = yaml.safe_load((REPOSITORY / "galaxy.yml").read_text(encoding="utf-8"))
    assert galaxy["version"] == project["version"]
    assert list(map(str, galaxy["license"])) == [project["license"]]


def test_the_artefact_holds_only_what_ansible_reads(artefact: Path) -> None:
    with tarfile.open(artefact) as archive:
        members = archive.getmembers()
    assert all(member.isfile() or member.isdir() for member in members), "links dangle where the artefact is installed"
    top = {member.name.split("/")[0] for member in members}
    assert top == {
        "CHANGELOG.md",
        "FILES.json",
        "LICENSE",
        "MANIFEST.json",
        "README.md",
        "meta",
        "playbooks",
        "plugins",
        "roles",
    }
    assert not [member.name for member in members if "__pycache__" in member.name]


@pytest.mark.parametrize("folder", ["meta", "playbooks", "plugins", "roles"])
def test_wheel_and_artefact_carry_the_same_files(from_wheel: Path, from_artefact: Path, folder: str) -> None:
    ours = files(REPOSITORY / folder)
    assert files(from_wheel / COLLECTION / folder) == ours
    assert files(from_artefact / COLLECTION / folder) == ours


def test_the_contract_is_the_same_wherever_it_goes(from_wheel: Path, from_artefact: Path) -> None:
    contract = files(REPOSITORY / CONTRACT)
    assert "names.py" in contract
    package = from_wheel.parents[1]
    assert package.name == "fedsim_runner"
    for folder in (package / "contract", from_wheel / COLLECTION / CONTRACT, from_artefact / COLLECTION / CONTRACT):
        assert not folder.is_symlink()
        assert files(folder) == contract


@pytest.mark.parametrize("source", ["from_wheel", "from_artefact"])
def test_a_play_of_the_collection_runs(source: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """From the playbook's name to the module and the contract in it; this needs no Engine."""
    (tmp_path / "hosts.yml").write_text(
        "lab_hosts:\n  hosts:\n    local:\n      ansible_connection: local\n"
        "      ansible_python_interpreter: '{{ ansible_playbook_python }}'\n",
        encoding="utf-8",
    )
    program = str(Path(sys.executable).parent / "ansible-playbook")
    command = [program, "-i", "hosts.yml", "fedsim.testbed.destroy", "-e", "fedsim_run=Not_A_Run"]
    collections = str(request.getfixturevalue(source))
    done = run(command, tmp_path, ANSIBLE_COLLECTIONS_PATH=collections, ANSIBLE_NOCOLOR="1", LC_ALL="C.UTF-8")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "'Not_A_Run' is not a run id" in done.stdout + done.stderr


def test_ansible_tests_sanity_checks_pass(from_artefact: Path, tmp_path: Path) -> None:
    collection = tmp_path / COLLECTION
    shutil.copytree(from_artefact / COLLECTION, collection)
    shutil.copytree(REPOSITORY / "tests" / "sanity", collection / "tests" / "sanity")
    run(["git", "init", "-q", "."], collection)
    run(["git", "add", "-A"], collection)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    chosen = [argument for name in SANITY for argument in ("--test", name)]
    program = str(Path(sys.executable).parent / "ansible-test")
    done = run([program, "sanity", "--python", python, *chosen], collection, LC_ALL="C.UTF-8")
    assert done.returncode == 0, done.stdout + done.stderr

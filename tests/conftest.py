"""Options and helpers that all kinds of tests share."""

from __future__ import annotations

import difflib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from docker import DockerClient
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

    from tests.lab.lab_hosts.lab import Lab

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent

# What makes a test more than a call of a function; `make unit` leaves these out (pyproject.toml says what each means).
HEAVY = ("ansible", "course", "docker", "drawing", "federatedscope", "lengthy", "packages", "process")
# The folders of tests/ by what is tested: functions, or the command, faults and links on a Docker Engine.
MAY_BE_PURE = ("golden", "unit")
ON_AN_ENGINE = ("e2e", "faults", "lab")
# A pure test takes milliseconds of CPU time; a few take half a second.
PURE_CPU_S = 2.0
# The audit events that Python raises when it starts another program.
STARTS_A_PROGRAM = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system")

# A whole file of heavier tests.
_HEAVY_FILE = re.compile(rf"^pytestmark = .*\bpytest\.mark\.({'|'.join(HEAVY)})\b", re.MULTILINE)
_MARK_IT = f"mark it as one of {', '.join(HEAVY)}"
_pure_test: str | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing")


def pytest_configure(config: pytest.Config) -> None:
    # The tests call Ansible's programs by name; they must find those of this environment even if it is not activated.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    sys.addaudithook(_refuse_programs)
    # Under nohup, or started in the background by a shell, these are ignored, also by the programs that tests start.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """When only the pure tests run, files without any are not imported: that takes as long as many of the tests."""
    if config.option.markexpr != "pure" or collection_path.suffix != ".py":
        return None
    return True if _HEAVY_FILE.search(collection_path.read_text(encoding="utf-8")) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of functions that have none of the heavy markers as pure; the hooks below enforce that."""
    for item in items:
        folder = item.path.resolve().relative_to(TESTS).parts[0]
        if folder in ON_AN_ENGINE:
            item.add_marker("docker")
            item.add_marker(folder)
        elif folder in MAY_BE_PURE and not any(item.get_closest_marker(name) for name in HEAVY):
            item.add_marker("pure")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """With ``--dist loadscope``, have the tests of a file share a process, and all those that measure times as well."""
    if config.option.dist != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return "times" if path.split("/")[1] in ON_AN_ENGINE else path

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A pure test starts no program; when only the pure tests run, each must also be quick."""
    global _pure_test
    _pure_test = item.nodeid if item.get_closest_marker("pure") else None
    try:
        return (yield)
    finally:
        _pure_test = None


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    started = time.process_time()
    outcome = yield
    used = time.process_time() - started
    if used > PURE_CPU_S and pyfuncitem.config.option.markexpr == "pure":
        pytest.fail(
            f"took {used:.1f} s of CPU time: mark it as one of {', '.join(HEAVY)}, or make it quicker", pytrace=False
        )
    return outcome


def _refuse_programs(event: str, arguments: tuple[Any, ...]) -> None:
    if _pure_test is not None and event in STARTS_A_PROGRAM:
        what = arguments[1] if event == "subprocess.Popen" else event
        # Its exception is not an Exception, which the code under test might handle.
        pytest.fail(f"{_pure_test} starts {what}: {_MARK_IT}", pytrace=False)


@pytest.fixture
def repository() -> Path:
    """Root of the checkout under test."""
    return REPOSITORY


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """This machine's Docker Engine; if it is missing, the test fails rather than being skipped."""
    import docker  # which most tests do without

    client = docker.from_env(timeout=60)
    client.ping()
    yield client
    client.close()


@pytest.fixture(scope="session")
def three_lab_hosts(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab of three lab hosts with a Docker Engine each, for all tests that need one."""
    from tests.lab.lab_hosts import our_images
    from tests.lab.lab_hosts.lab import running

    with running(tmp_path_factory.mktemp("lab") / "lab", 3) as lab:
        our_images.give(engine, lab["lab1"])
        yield lab


@pytest.fixture
def device_file(repository: Path) -> dict[str, Any]:
    """The device file of the sample inventory, which a test may change: digits, one server and four clients."""
    sample = repository / "inventories" / "sample" / "device_files" / "local.json"
    return dict(json.loads(sample.read_text(encoding="utf-8")))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with a golden file, or write the file under ``--update-golden``."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        expected = path.read_text(encoding="utf-8") if path.exists() else ""
        if text != expected:
            diff = "\n".join(
                difflib.unified_diff(expected.splitlines(), text.splitlines(), str(path), "now", lineterm="")
            )
            pytest.fail(f"differs from {path} (run with --update-golden if this is intended):\n{diff}")

    return compare

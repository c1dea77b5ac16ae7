"""A back end, the tests' kernel in place of the real one, and what shapes links in it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent import links
from fedsim_runner.agent.links import backends
from fedsim_runner.agent.links.network.run_namespace import RunNamespace
from fedsim_runner.agent.links.profile import Profile
from fedsim_runner.agent.links.protocol import LinkBackend
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.agent.links.userspace import backend as userspace
from fedsim_runner.agent.links.userspace import nfqueue

from ..fake_kernel import NETWORK, FakeKernel
from .cases import THIRD
from .packets_here import PacketsHere


@pytest.fixture
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[LinkBackend]:
    """The back end of this name; the toy one is found like any other folder."""
    if request.param not in backends.names():
        monkeypatch.setattr(links, "__path__", [*links.__path__, str(THIRD)])
    return next(kind for kind in backends.load_all() if kind.name == request.param)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    made = FakeKernel().install(monkeypatch)
    monkeypatch.setattr(userspace, "PacketProcess", PacketsHere)
    monkeypatch.setattr(nfqueue, "open_queue", lambda *arguments: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    monkeypatch.setattr(nfqueue, "retune", lambda *arguments: None)
    return made


@pytest.fixture
def probed(kind: type[LinkBackend]) -> dict[str, Any]:
    """The probe of a kernel that has everything any back end needs."""
    return {need.piece: True for need in backends.all_needs()} | {"iptables": "iptables-nft", "kernel": "6.1"}


@pytest.fixture
def namespaces(tmp_path: Path) -> dict[str, str]:
    for name in ("a", "b", NETWORK):
        (tmp_path / name).touch()
    return {name: str(tmp_path / name) for name in "ab"}


@pytest.fixture
def network(tmp_path: Path) -> RunNamespace:
    """The run's namespace."""
    return RunNamespace(str(tmp_path / NETWORK))


@pytest.fixture
def shaper(probed: dict[str, Any], network: RunNamespace) -> Iterator[Callable[[Profile, str], Shaper]]:
    made: list[Shaper] = []

    def make(profile: Profile, chosen: str) -> Shaper:
        made.append(Shaper([kind(probed) for kind in backends.load_all()], network, profile, chosen))
        return made[-1]

    yield make
    for one in made:
        one.stop()

"""How often the links of devices are explained by a program."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

import pytest

from fedsim_runner.agent.kernel import kernel_qdiscs, netlink
from fedsim_runner.agent.links.network import veth
from fedsim_runner.agent.links.network.run_namespace import RunNamespace

_LATENCY, _SEED = 10, 14  # attributes of a netem


class _Interfaces:
    """The root netem of each device's interface, by its number: handle, delay in us, and seed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, netems: dict[int, tuple[int, int, int]]) -> None:
        self._netems = netems
        self.explained: list[int] = []
        self.explaining: Callable[[], object] = lambda: None
        self._index = 0
        monkeypatch.setattr(kernel_qdiscs.netlink, "open_channel", contextlib.nullcontext)
        monkeypatch.setattr(kernel_qdiscs.netlink, "ask", lambda *_: [self._reply(index) for index in netems])
        monkeypatch.setattr(veth, "read_qdiscs", self._explain)
        monkeypatch.setattr(veth, "parse_qdiscs", lambda entries, _: {veth.INTERFACE: entries[0]["delay"]})
        self._veths = veth.Veths((), RunNamespace())

    def read(self, name: str, index: int) -> object:
        self._index = index
        return self._veths._read_up(name, index)

    def _explain(self, interface: str) -> list[dict[str, object]]:
        self.explained.append(self._index)
        self.explaining()
        return [{"delay": self._netems[self._index][1]}]

    def _reply(self, index: int) -> bytes:
        handle, delay, seed = self._netems[index]
        options = struct.pack("=6I", 0, 1000, 0, 0, 0, 0)
        options += netlink.attribute(_LATENCY, struct.pack("=q", delay * 1000))
        options += netlink.attribute(_SEED, struct.pack("=Q", seed))
        head = struct.pack("=BxxxiIII", 0, index, handle << 16, kernel_qdiscs.ROOT, 0)
        return head + netlink.attribute(1, b"netem\0") + netlink.attribute(2, options)


def test_links_that_are_alike_are_explained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = _Interfaces(monkeypatch, {1: (2, 500, 71), 2: (2, 500, 72), 3: (2, 900, 73)})
    assert [kernel.read(f"client-{index}", index) for index in (1, 2, 3, 1)] == [500, 500, 900, 500]
    assert kernel.explained == [1, 3]


def test_a_delay_that_is_moved_is_no_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = kernel_qdiscs.MOVING_HANDLES[0]
    kernel = _Interfaces(monkeypatch, {1: (moved, 500, 71), 2: (moved, 900, 72), 3: (moved, 900, 73)})
    assert [kernel.read(f"client-{index}", index) for index in (1, 2, 3, 1)] == [500, 900, 900, 500]
    assert kernel.explained == [1, 2]


def test_a_link_whose_delay_is_moved_is_explained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    netems = {1: (kernel_qdiscs.MOVING_HANDLES[0], 500, 71)}
    kernel = _Interfaces(monkeypatch, netems)
    for netems[1] in ((*netems[1][:1], delay, 71) for delay in (500, 510, 490)):
        kernel.read("client-1", 1)
    assert kernel.explained == [1]


def test_a_delay_that_is_moved_meanwhile_is_not_taken_for_another_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = kernel_qdiscs.MOVING_HANDLES[0]
    netems = {1: (moved, 500, 71), 2: (moved, 500, 72)}
    kernel = _Interfaces(monkeypatch, netems)
    kernel.explaining = lambda: netems.update({1: (moved, 510, 71)})
    assert [kernel.read(f"client-{index}", index) for index in (1, 2)] == [510, 500]
    assert kernel.explained == [1, 2]


def test_what_is_remembered_of_all_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(veth, "_MOST_ALIKE", 2)
    kernel = _Interfaces(monkeypatch, {index: (2, index, index) for index in (1, 2, 3)})
    assert [kernel.read(f"client-{number}", index) for number, index in enumerate((1, 2, 3, 1))] == [1, 2, 3, 1]
    assert kernel.explained == [1, 2, 3, 1]

"""A fake kernel in place of programs and netns: what ``tc`` and ``iptables`` set in it, they also show.

Namespaces are one-letter files. The interface in namespace ``a`` is paired with the host's interface ``v-a``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.links import netns

HOST = "host"


def _number(text: str) -> float:
    """The number without its unit; the back ends use us, bit, b and %."""
    return float(text.rstrip("abcdefghijklmnopqrstuvwxyz%"))


def _netem(words: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    rest = list(words)
    while rest:
        key = rest.pop(0)
        if key == "limit":
            options["limit"] = int(rest.pop(0))
        elif key == "delay":
            options["delay"] = {"delay": _number(rest.pop(0)) / 1e6, "jitter": 0.0}
            if rest and rest[0].endswith("us"):
                options["delay"]["jitter"] = _number(rest.pop(0)) / 1e6
        elif key == "loss":
            assert rest.pop(0) == "random"
            options["loss-random"] = {"loss": _number(rest.pop(0)) / 100}
        else:
            assert key == "rate", key
            options["rate"] = {"rate": int(_number(rest.pop(0)) / 8)}
    return options


def _tbf(words: Sequence[str]) -> dict[str, Any]:
    options = dict(zip(words[::2], words[1::2], strict=True))
    return {
        "rate": int(_number(options["rate"]) / 8),
        "burst": int(_number(options["burst"])),
        "limit": int(_number(options["limit"])),
    }


class FakeKernel:
    """Keeps qdiscs and rules. ``log``: every command that changed something, as (namespace, arguments)."""

    def __init__(self, lacks: Sequence[str] = ()) -> None:
        self.lacks = tuple(lacks)  # no program may be called with these words
        self.forgets = False  # accepts every qdisc and keeps none
        self.log: list[tuple[str, str]] = []
        self.qdiscs: dict[tuple[str, str], dict[str, Any]] = {}
        self.rules: dict[str, list[str]] = {}
        self.offload_off: set[str] = set()
        self._here = threading.local()
        self._lock = threading.Lock()

    @property
    def here(self) -> str:
        return getattr(self._here, "namespace", HOST)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
        """Replace the real kernel in all callers."""
        monkeypatch.setattr(programs, "run", self.run)
        monkeypatch.setattr(netns, "inside", self.inside)
        monkeypatch.setattr(netns, "scratch", lambda: self.inside("scratch"))
        monkeypatch.setattr(netns, "peer_index", lambda interface: 100 + ord(self.here[0]))
        monkeypatch.setattr(socket, "if_indextoname", lambda index: f"v-{chr(index - 100)}")
        monkeypatch.setattr(netns, "segmentation_offload", lambda interface: self.here not in self.offload_off)
        monkeypatch.setattr(netns, "set_segmentation_offload", self._set_offload)
        return self

    @contextlib.contextmanager
    def inside(self, path: str | Path) -> Iterator[None]:
        name = Path(path).name
        if not Path(path).exists() and name != "scratch":
            raise FileNotFoundError(f"no namespace {name}")
        before, self._here.namespace = self.here, name
        try:
            yield
        finally:
            self._here.namespace = before

    def run(self, arguments: Sequence[str], *, stdin: str | None = None) -> str:
        words = list(arguments)
        if refused := [word for word in self.lacks if word in words]:
            raise programs.CommandError(f"{' '.join(words)}: this kernel has no {refused[0]}")
        with self._lock:
            if words[:2] == ["tc", "-batch"]:
                for line in (stdin or "").splitlines():
                    self._tc(line.split())
                return ""
            if words[0] == "tc":
                return self._tc(words[1:])
            if words[0].startswith("iptables"):
                return self._iptables(words)
            if words[0] in ("ip", "modprobe"):
                return ""
        raise programs.CommandError(f"{words[0]}: not found")

    def _tc(self, words: list[str]) -> str:
        if "show" in words:
            interface = words[words.index("dev") + 1] if "dev" in words else None
            return json.dumps(
                [
                    {"kind": found["kind"], "handle": "8001:", "dev": dev, "root": True, "options": found["options"]}
                    for (where, dev), found in self.qdiscs.items()
                    if where == self.here and interface in (None, dev)
                ]
            )
        self.log.append((self.here, " ".join(["tc", *words])))
        action, interface, rest = words[1], words[3], words[5:]
        if action == "del":
            self.qdiscs.pop((self.here, interface), None)
        elif not self.forgets:
            kinds = {"netem": _netem, "tbf": _tbf}
            kind, *options = rest
            shown = kinds[kind](options) if kind in kinds else {"words": options}
            self.qdiscs[self.here, interface] = {"kind": kind, "options": shown}
        return ""

    def _iptables(self, words: list[str]) -> str:
        rules = self.rules.setdefault(self.here, [])
        if "-S" in words:
            return "".join(f"-A {rule}\n" for rule in rules)
        self.log.append((self.here, " ".join(words)))
        action = "-A" if "-A" in words else "-D"
        rule = " ".join(words[words.index(action) + 1 :])
        if action == "-A":
            rules.append(rule)
        else:
            rules.remove(rule)
        return ""

    def _set_offload(self, interface: str, on: bool) -> None:
        self.log.append((self.here, f"offload of {interface} {'on' if on else 'off'}"))
        (self.offload_off.discard if on else self.offload_off.add)(self.here)

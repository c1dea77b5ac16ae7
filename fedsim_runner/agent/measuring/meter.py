"""The agent's side of a measurement: the measuring process, the namespaces of its ends, and what it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.link_verdict import Measured
from fedsim_runner.contract.typed_json import load

from ..kernel import netns
from ..kernel.held_namespaces import HeldNamespaces
from .prober import End, write_order
from .schedule import Schedule

_SLACK_S = 20.0


class MeasuringError(FedsimError):
    """Links could not be measured; the text says why."""

    exit = Exit.LINKS


@dataclass(frozen=True)
class Findings:
    """What a measurement found.

    Attributes:
        measured: one entry for each flow of the schedule, in its order.
        late_us: by how much the measuring process was late on average; more than links are off by says nothing of them.
        latest_us: the most that it was late.
    """

    measured: Sequence[Measured]
    late_us: int = 0
    latest_us: int = 0


class Meter:
    """A process that waits for what to measure, and network namespaces.

    Args:
        guests: the names of ends that have a namespace of their own.

    Attributes:
        namespaces: their paths, by name.
    """

    def __init__(self, guests: Sequence[str]) -> None:
        """Start it.

        Raises:
            OSError: this kernel or user makes no namespace.
        """
        self._held = HeldNamespaces()
        package = __package__ or "measuring"
        root = str(Path(__file__).resolve().parents[package.count(".") + 1])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        with netns.scratch():
            self._process = subprocess.Popen(
                [sys.executable, "-m", package],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
            )
        self.namespaces = dict.fromkeys(guests[:1], netns.of_process(self._process.pid))
        try:
            for name in guests[1:]:
                with netns.scratch():
                    self.namespaces[name] = self._held.hold(name, netns.of_this_thread())
        except OSError:
            self.end()
            raise

    def measure(self, ends: Mapping[str, End], schedule: Schedule) -> Findings:
        """Measure; the process ends with it.

        Raises:
            MeasuringError: it did not end, or failed.
        """
        order = write_order(ends, list(schedule.flows), schedule.listen_s)
        try:
            out, said = self._process.communicate(order, schedule.listen_s + _SLACK_S)
        except subprocess.TimeoutExpired:
            self.end()
            raise MeasuringError(f"links were not measured in {schedule.listen_s + _SLACK_S:.0f} s") from None
        try:
            return read_findings(json.loads(out))
        except (ValueError, KeyError, TypeError) as error:
            last = (said.strip().splitlines() or ["no output"])[-1]
            raise MeasuringError("links could not be measured", said=last) from error

    def end(self) -> None:
        """End the process, and with it all namespaces."""
        self._process.kill()
        self._process.communicate()
        self._held.release_all()


def read_findings(answer: Mapping[str, Any]) -> Findings:
    """Return what the measuring process says.

    Raises:
        FormError, KeyError: it says something else.
    """
    measured = [load(Measured, one, "flow") for one in answer["flows"]]
    return Findings(measured, answer["late_us"], answer["latest_us"])

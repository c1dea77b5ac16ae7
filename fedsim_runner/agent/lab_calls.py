"""What ctl can ask of the network between the lab hosts of a run."""

from __future__ import annotations

from typing import Any

from ..contract.agent_calls import JoinedAnswer
from ..contract.lab_network import Settled
from ..contract.typed_json import dump
from .host.network_container import NetworkContainer
from .lab_network.lab_network import LabNetwork
from .settings_reader import SettingsReader


class LabCalls:
    """Answers calls about joining the lab hosts of one run. Thread-safe.

    Args:
        reader: reads the settings again, which may name other lab hosts than before.
        network: holds the run's network.
        lab_network: joins it to those of other lab hosts.
    """

    def __init__(self, reader: SettingsReader, network: NetworkContainer, lab_network: LabNetwork) -> None:
        self._reader = reader
        self._network = network
        self._lab_network = lab_network

    def offer(self, port: int) -> dict[str, Any]:
        """What this lab host offers the others of its run.

        Args:
            port: UDP port that all of them use.

        Raises:
            LabNetworkError: the run has no others, or one cannot be reached at all.
            NoNetworkError: no container holds the run's network.
            DockerError: the Engine does not say which containers run.
        """
        self._network.look_up()
        offer: dict[str, Any] = dump(self._lab_network.offer(self._reader.read(), port))
        return offer

    def join(self, settled: Settled, port: int, check: bool) -> JoinedAnswer:
        """Join this lab host to the others of its run; with ``check``, only compare.

        Raises:
            LabNetworkError: the kernel refuses it.
            NoNetworkError: no container holds the run's network.
            DockerError: the Engine does not say which containers run.
        """
        self._network.look_up()
        differences = self._lab_network.join(self._reader.read(), settled, port, check)
        return {"differences": differences, "note": self._lab_network.unguarded}

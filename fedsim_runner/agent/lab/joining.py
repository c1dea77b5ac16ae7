"""Which part an agent has in its run, and what it needs for that."""

from __future__ import annotations

from collections.abc import Callable

from fedsim_runner.contract.device_file import Lab
from fedsim_runner.contract.events import Event
from fedsim_runner.contract.paths import StateFolder

from ..course.watch import Watch
from .clock_client import ClockClient
from .credentials import Credentials, new_secret, read_credentials, write_credentials
from .follower import Follower
from .hub import Hub, listen
from .judge import Judge
from .part import Alone, LabPart
from .uplink import Uplink


def join_lab(
    lab: Lab | None,
    lab_host: str,
    run: str,
    state: StateFolder,
    watch: Callable[[], Watch],
    record: Callable[[Event], None],
) -> LabPart:
    """Return this lab host's part; on the server's, the others can connect from now on.

    Args:
        watch: returns the course on this lab host.
        record: writes an event to the journal.

    Raises:
        ChannelError: this lab host cannot listen to the others.
        CannotWriteError: the secret cannot be written.
    """
    if lab is None:
        return Alone()
    addresses = {one.name: one.address for one in lab.hosts}
    if lab_host == lab.server:
        known = read_credentials(state.channel)
        stream, datagrams, port = listen(run, addresses[lab_host], known)
        secret = new_secret() if known is None else known.secret
        write_credentials(state.channel, Credentials(port, secret))
        others = {name: address for name, address in addresses.items() if name != lab_host}
        return Judge(lab, Hub((stream, datagrams), secret, others), watch, record)
    uplink = Uplink(lab_host, addresses[lab_host], addresses[lab.server], state.channel)
    return Follower(lab, uplink, lambda tell: ClockClient(addresses[lab.server], state.channel, tell), record)

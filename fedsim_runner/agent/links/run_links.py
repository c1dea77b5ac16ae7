"""The links of one run on this lab host: connecting devices, shaping their links, and which are in force."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedsim_runner.contract import events
from fedsim_runner.contract.agent_calls import LinksAnswer
from fedsim_runner.contract.link import Links

from ..host import programs
from ..host.network_container import NetworkContainer
from ..kernel import netns
from ..kernel.fan_out import hurry
from ..run_settings import RunSettings
from . import backends
from .backend_choice import BackendChoice
from .changes import Failures
from .deviation import Deviation
from .in_force.guests import Guests
from .in_force.live_changes import LiveChange, LiveChanges
from .in_force.locks import Locked, alone, among_readers
from .in_force.prepared_steps import PreparedSteps
from .in_force.restoring import Restorer
from .in_force.shaped_devices import ShapedDevices
from .joined import Joined
from .link_errors import LinkError
from .network.held_network import HeldNetwork
from .profile import DeviceLink, Profile
from .shaping.results import Result
from .shaping.shaper import Shaper
from .tally import Passed, Tally


class RunLinks(Locked):
    """Connects and shapes devices by their processes. Thread-safe, with locks of its own.

    Args:
        container: holds the run's network.
        requested: name of a link back end, or ``auto``.
        probed: what the kernel can shape links with.
        record: writes an event to the journal.

    Attributes:
        unshaped: why no link is in force, if the experiment allows that.
        deviation: how the links that are in force, and those that come into force, differ from the device file.
        joined: the network between the lab hosts of a run that has several.
    """

    def __init__(
        self,
        container: NetworkContainer,
        requested: str,
        probed: Mapping[str, Any],
        record: Callable[[events.Event], None],
    ) -> None:
        super().__init__()
        self._network = HeldNetwork(container)
        self._choice = BackendChoice(requested, probed)
        self._record = record
        self._shaper: Shaper | None = None
        self._guests = Guests()
        self._profile: Profile | None = None  # of the device file
        self._planned_for: Joined | None = None  # what was between lab hosts when links were planned last
        self._devices = ShapedDevices()
        self._restorer = Restorer(self._devices, self._lock, record)
        self._changes = LiveChanges(self._lock, self._devices, self._restorer)
        self._steps = PreparedSteps(self._lock, self._begin, self._expect)
        self.unshaped: str | None = None
        self.deviation = Deviation()
        self.joined = Joined()

    @property
    def backend(self) -> str | None:
        """The back end that shapes here; None if none does."""
        return None if self.unshaped is not None else self._choice.likely

    @property
    def packets_wait_here(self) -> bool:
        """Whether packets are passed by a process of this agent, and wait until it gets to run."""
        return any(kind.name == self.backend and kind.reschedules for kind in backends.load_all())

    @property
    def shaped(self) -> set[str]:
        """The devices whose links are in force."""
        return self._devices.names

    @property
    def failure(self) -> str | None:
        """Why traffic no longer passes; None while it does."""
        return self._network.failure or (self._shaper.failure() if self._shaper is not None else None)

    @property
    def has_lost_its_network(self) -> bool:
        """Whether the container that holds the run's network has ended."""
        return self._network.failure is not None

    def covers(self, devices: Collection[str]) -> bool:
        """Whether all of these devices may send."""
        return not self.has_lost_its_network and self.shaped.issuperset(devices)

    def choice(self, settings: RunSettings) -> str | None:
        """The back end that is to shape the links; None: none can."""
        try:
            return self._choice.of(settings)[0]
        except backends.UnshapableError:
            return None

    def now(self, profile: Profile) -> Profile:
        """The links of the device file as they are to be now."""
        return self.joined.of(self.deviation.of(profile))

    @alone
    def join(self, joined: Joined, across: Callable[[Collection[str]], Failures] | None) -> None:
        """Take over what is between lab hosts, for links that come into force from now on.

        Args:
            joined: what it does to links.
            across: connects bridges to those of the same name on other lab hosts.
        """
        self.joined = joined
        self._network.namespace.across = across

    @alone
    def apply(
        self, settings: RunSettings, names: Collection[str], running: Mapping[str, int], check: bool
    ) -> LinksAnswer:
        """Connect the named devices and shape their links as the device file says, but for :attr:`deviation`.

        Args:
            settings: from the device file.
            names: of the devices.
            running: process ids of those that run.
            check: compare only.

        Raises:
            UnshapableError: no back end here can shape them, and ``allow_unshaped`` is not set.
            NoNetworkError: no container holds the run's network.
        """
        backend, unshaped = self._choice.of(settings)
        planned_for, self._planned_for = self._planned_for, None  # should this fail, all is planned anew
        if self._network.use(check):
            self.shaped.clear()
        profile = self.now(settings.links)
        before = None if self._shaper is None else self._shaper.requested
        if self._shaper is None:
            kinds = [kind(self._choice.probed) for kind in backends.load_all()]
            self._shaper = Shaper(kinds, self._network.namespace, profile, backend)
        else:
            self._shaper.set_profile(profile, backend)
        results = self._shaper.apply({name: netns.of_process(pid) for name, pid in running.items()}, check=check)
        for name in names:
            if name not in running:
                results[name] = Result(failed="its container is not running")
        if check and before is not None:
            self._shaper.set_profile(*before)  # what is in force goes on being looked after
            self._planned_for = planned_for
        if not check:
            if unshaped is not None and unshaped != self.unshaped:
                self._record(events.LinksUnshaped(unshaped))
            self.unshaped = unshaped
            self._profile = settings.links
            self._planned_for = self.joined
            self._remember(results, running)
            self._shaper.prepare_for_changes(
                {name: netns.of_process(running[name]) for name, one in results.items() if one.failed is None}
            )
        answer: LinksAnswer = {
            "changed": any(result.changed for result in results.values()),
            "backend": backend,
            "devices": {name: result.as_dict() for name, result in sorted(results.items())},
        }
        return answer if unshaped is None else {**answer, "unshaped": unshaped}

    @alone
    def reapply(self, name: str, pid: int) -> str | None:
        """Connect and shape a restarted device whose link was in force. Return the reason if that failed.

        Raises:
            ProcessLookupError: the process has ended meanwhile; the next one is connected as this one was to be.
        """
        if self._shaper is None:
            return None
        namespace = netns.of_process(pid)
        try:
            failed = self._shaper.apply({name: namespace})[name].failed
        except (OSError, programs.CommandError) as error:  # the run's network is gone
            failed = str(error)
        if failed is not None:
            if not Path(namespace).exists():
                raise ProcessLookupError(f"process {pid} of {name} has ended")
            self.shaped.discard(name)
            self._record(events.LinkFailed(name, failed))
            return failed
        self._devices.add(name, namespace, self._passes_on)
        self._shaper.prepare_for_changes({name: namespace})
        if self.unshaped is None:
            self._record(events.LinkReapplied(name))
        return None

    def change(self, update: Callable[[Deviation], Deviation]) -> dict[str, Result]:
        """Have links deviate from the device file, or no longer, from now on; as :meth:`begin_change` and its end."""
        return self.begin_change(update, time.monotonic()).complete()

    def begin_change(self, update: Callable[[Deviation], Deviation], due_s: float) -> LiveChange:
        """Have links deviate from the device file, or no longer: those in force in place, while packets pass.

        Links that come into force later, of containers that are restarted, are as they then are for the others. It
        takes no lock but that of the links, and starts no program. A link that is changed again meanwhile is so with
        this change: where that is due before, this one comes sooner for the link. But steps (:meth:`begin_step`) come
        at their own time, with what this changes.

        Args:
            update: returns how they are to deviate, from how they do now.
            due_s: when, on the monotonic clock; a little ahead of it.

        Raises:
            LinkError: the run's network is gone; also from what is returned.
        """
        with self._lock, hurry():
            return self._steps.begin_change(self.deviation, update, due_s)

    def begin_step(self, varied: Mapping[str, Links], due_s: float) -> Callable[[], dict[str, Result]]:
        """Have links that vary be these, where no event says otherwise; like :meth:`begin_change`, but long ahead.

        Steps are prepared in the order of their times. Nothing is read back.

        Args:
            varied: by device.
            due_s: when, on the monotonic clock.

        Returns:
            What waits until then, and returns what has become of it.

        Raises:
            LinkError: the run's network is gone; also from what is returned.
        """
        with self._lock, hurry():
            return self._steps.begin_step(self.deviation, varied, due_s)

    def _begin(self, deviation: Deviation, due_s: float, reads_back: bool = True) -> LiveChange:
        """Prepare a change to this, with the lock; ``reads_back``: whether to look at what the kernel then has."""
        before, self.deviation = self.deviation, deviation
        if self._shaper is None or self._profile is None:
            return LiveChange()
        # Where more has become known of what is between lab hosts, all links are planned anew.
        devices = deviation.changed_links(before) if self._planned_for is self.joined else None
        self._planned_for = self.joined
        return self._changes.begin(self._shaper, self.now(self._profile), devices, due_s, reads_back)

    def _expect(self, deviation: Deviation) -> None:
        """Take links for those that are in force with this, with the lock: a later change was prepared, and is to be
        prepared anew.
        """
        before, self.deviation = self.deviation, deviation
        if self._shaper is not None and self._profile is not None:
            devices = deviation.changed_links(before)
            assert devices is not None, "steps change nothing but links"
            self._shaper.expect(self.now(self._profile), devices)

    def restore(self, running: Mapping[str, int]) -> dict[str, str]:
        """Put links that are in force, but that somebody else has changed, back in force.

        None is while guests are connected: that devices know these is then no change by somebody else.

        Args:
            running: process ids of the running devices.

        Returns:
            By device, what was changed and why it could not be undone.
        """
        with self._reading:
            if self._shaper is None or self.failure is not None:
                return {}
            if self._guests:
                return {}
            return self._restorer.restore(self._shaper, running)

    @alone
    def connect_guests(
        self, guests: Sequence[DeviceLink], sites: Mapping[str, str], namespaces: Mapping[str, str]
    ) -> None:
        """Connect more devices to the run's network, which are none of the run's devices.

        Args:
            guests: their names and addresses.
            sites: those of guests that are at one.
            namespaces: the path of each one's network namespace.

        Raises:
            LinkError: one could not be connected.
        """
        if self._shaper is None:
            raise LinkError("no link is in force")
        self._guests.connect(self._shaper, guests, sites, namespaces)

    @alone
    def forget_guests(self, names: Iterable[str]) -> None:
        """Release them: their namespaces are about to end."""
        self._guests.forget(names)

    @alone
    def forget(self, name: str) -> None:
        """Release a device whose process, and with it its interface, has ended.

        What others exchange over it goes on, as it has its namespace until it is restarted.
        """
        self._devices.end(name)
        if self._shaper is not None and not self._passes_on:
            self._shaper.forget(name)

    @among_readers
    def count(self, running: Mapping[str, int], afresh: bool = False) -> dict[tuple[str, str], Tally]:
        """What has passed each shaped direction, by device and ``up`` or ``down``; empty if nothing passes any longer.

        Args:
            running: process ids of the running devices.
            afresh: count from now on.
        """
        if self._shaper is None or self.failure is not None:
            return {}
        try:
            return self._shaper.count(self._devices.running(running), afresh)
        except OSError:
            return {}  # which `failure` is about to say

    def look(self, running: Mapping[str, int]) -> dict[tuple[str, str], Passed]:
        """The counters and the queue of each shaped direction, by device and ``up`` or ``down``.

        Those that have not changed since the last look may be left out.

        Args:
            running: process ids of the running devices.
        """
        if self._shaper is None or self.failure is not None:
            return {}
        try:
            return self._shaper.look(self._devices.running(running))
        except OSError:
            return {}  # which `failure` is about to say

    @among_readers
    def counters(self) -> dict[str, Any]:
        """Counters of the process that holds packets outside the kernel; empty if the kernel does all."""
        return self._shaper.counters() if self._shaper is not None else {}

    @alone
    def stop(self) -> None:
        """Stop: packets that pass through this agent stop, too."""
        if self._shaper is not None:
            self._shaper.stop()
        self._devices.release_all()

    @property
    def _passes_on(self) -> bool:
        """Whether devices pass on what others send."""
        topology = None if self._profile is None else self._profile.topology
        return topology is not None and bool(topology.parents)

    def _remember(self, results: Mapping[str, Result], running: Mapping[str, int]) -> None:
        for name, result in results.items():
            if result.failed is None:
                self._devices.add(name, netns.of_process(running[name]), self._passes_on)
                if result.changed and self.unshaped is None:
                    self._record(events.LinkShaped(name))

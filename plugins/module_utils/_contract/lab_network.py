"""What the lab hosts of a run agree on before their devices become one network: pure, without a coordinator.

Each lab host offers what it has (:class:`Offer`), and from all offers follows what all of them use (:func:`settle`),
whoever computes it. A VXLAN id is reserved by the lab hosts' kernels themselves: each refuses a second device with the
same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .device_file import Lab
from .errors import Exit, FedsimError

#: UDP port on which lab hosts receive what devices send to each other; IANA has assigned it to nobody.
PORT: Final = 14_789
#: Bytes that VXLAN adds to what a device sends: Ethernet, VXLAN, UDP and IPv4 headers, without the outermost Ethernet.
VXLAN_BYTES: Final = 50
#: Bytes that WireGuard adds to that: its header and tag, UDP, IPv4, and padding to 16 bytes.
WIREGUARD_BYTES: Final = 80
#: What a lab host must have for ``lab.encrypt``, and what helps where it is missing.
NO_WIREGUARD: Final = "the kernel has no WireGuard, with which lab.encrypt encrypts"
GET_WIREGUARD: Final = "`modprobe wireguard`, or a kernel that has it (Linux 5.6 and newer), or leave `lab.encrypt` out"
#: A device's MTU without a lab, and the most with one: that of an Ethernet.
MTU: Final = 1500
#: The least that IPv4 hosts have to take (RFC 791).
LEAST_MTU: Final = 576
#: A run has so many ids in a row: two for its network, and two for each partition.
IDS: Final = 256
_CANDIDATES = 8
_ID_BYTES = 2


class LabNetworkError(FedsimError):
    """The lab hosts of a run cannot be joined; the text names the lab host."""

    exit = Exit.LINKS


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What one lab host can do for the network of a run.

    Attributes:
        lab_host: its name.
        ids: those of the run's candidates that nothing here uses, in their order.
        mtu: the largest IPv4 packet that reaches all other lab hosts of the run.
        backend: what shapes links here; None: nothing does.
        public_key: of the key that was made here for this run; None: nothing is to be encrypted.
        key_port: UDP port on which what is encrypted is received.
    """

    lab_host: str
    ids: tuple[int, ...]
    mtu: int
    backend: str | None = None
    public_key: str | None = None
    key_port: int = 0


@dataclass(frozen=True)
class KeyHolder:
    """Where a lab host receives what is encrypted, and the public key that it is encrypted for."""

    public_key: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What all lab hosts of a run use.

    Attributes:
        vxlan_id: the first of the run's :data:`IDS` ids.
        mtu: of all devices.
        backends: by lab host, what shapes links there.
        keys: by lab host; empty: nothing is encrypted.
    """

    vxlan_id: int
    mtu: int
    backends: Mapping[str, str | None] = field(default_factory=dict)
    keys: Mapping[str, KeyHolder] = field(default_factory=dict)


def candidates(run: str) -> list[int]:
    """The ids that a run asks for, the one that it prefers first; any other run may have the same."""
    digests = (hashlib.blake2b(f"{run}/{number}".encode(), digest_size=_ID_BYTES) for number in range(_CANDIDATES))
    # 0 is left out: some tools take it for none.
    return list(dict.fromkeys((int.from_bytes(digest.digest()) or 1) * IDS for digest in digests))


def settle(run: str, lab: Lab, offers: Sequence[Offer]) -> Settled:
    """Return what follows from the offers of all lab hosts of a run.

    Raises:
        LabNetworkError: an offer is missing, or the lab hosts have no id or no sufficient MTU in common.
    """
    by_name = {offer.lab_host: offer for offer in offers}
    missing = [member.name for member in lab.hosts if member.name not in by_name]
    if missing:
        raise LabNetworkError(
            f"lab hosts {', '.join(missing)} carry devices of run {run} and say nothing of their network",
            hint="repeat the stage for all lab hosts of the run, without --limit",
        )
    members = [by_name[member.name] for member in lab.hosts]
    free = [one for one in candidates(run) if all(one in offer.ids for offer in members)]
    if not free:
        raise LabNetworkError(
            f"run {run} finds no VXLAN id that all of its lab hosts have free: "
            + "; ".join(f"{offer.lab_host} has {len(offer.ids)} of {len(candidates(run))}" for offer in members),
            hint="take down runs that are over (`fedsim-provision down`), or give this one another name",
        )
    narrowest = min(members, key=lambda offer: offer.mtu)
    added = VXLAN_BYTES + (WIREGUARD_BYTES if lab.encrypt else 0)
    if narrowest.mtu - added < LEAST_MTU:
        raise LabNetworkError(
            f"lab host {narrowest.lab_host} reaches the others with packets of at most {narrowest.mtu} bytes, and "
            f"{LEAST_MTU + added} are needed",
            hint="raise the MTU of its interface or of what lies between the lab hosts",
        )
    keys = {
        offer.lab_host: KeyHolder(offer.public_key, offer.key_port) for offer in members if offer.public_key is not None
    }
    return Settled(
        vxlan_id=free[0],
        mtu=min(MTU, narrowest.mtu - added),
        backends={offer.lab_host: offer.backend for offer in members},
        keys=keys if lab.encrypt else {},
    )

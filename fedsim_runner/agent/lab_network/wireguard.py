"""WireGuard between the lab hosts of a run, by the kernel: what VXLAN then goes over, encrypted and authenticated.

The interface is in the run's namespace, its UDP socket in the lab host's, where it is made from. The private key is
made here and goes nowhere but into the kernel; the public one, which the kernel computes, travels to the others over
SSH, in the answers of this agent. All of it ends with the run's namespace.

Forms and numbers: linux/genetlink.h and linux/wireguard.h.
"""

from __future__ import annotations

import base64
import errno
import os
import platform
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedsim_runner.contract.lab_network import GET_WIREGUARD, KeyHolder, LabNetworkError

from ..host import programs
from ..kernel import netlink, netns, rtnetlink
from ..links.network.run_namespace import RunNamespace

NAME = "wg0"
_NETLINK_GENERIC = 16
_GENERIC = struct.Struct("=BBxx")  # command, version
_CONTROL, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_GET_DEVICE, _SET_DEVICE = 0, 1
_INTERFACE, _PRIVATE_KEY, _PUBLIC_KEY, _FLAGS, _LISTEN_PORT, _PEERS = 2, 3, 4, 5, 6, 8
_PEER_KEY, _PEER_ENDPOINT, _PEER_ALLOWED = 1, 4, 9
_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_MASK = 1, 2, 3
_REPLACE_PEERS = 1
_NESTED = 0x8000
_KEY_BYTES = 32
_PORTS = 100  # a run that finds one of them taken uses the next
_PEERS_AT_ONCE = 300


@dataclass(frozen=True)
class Peer:
    """Another lab host: its key, its own address, and its address in the tunnel."""

    holder: KeyHolder
    address: str
    inside: str


def prepare(lab_host: str, network: RunNamespace, first_port: int, underlay: str) -> KeyHolder:
    """Make this lab host's end, if there is none; return where it receives, and its public key.

    Args:
        lab_host: its name.
        network: the run's namespace.
        first_port: UDP port to try first.
        underlay: path of the namespace whose network carries what is encrypted.

    Raises:
        LabNetworkError: this kernel has no WireGuard, or no port is free.
    """
    with network.inside():
        exists = rtnetlink.find_interface(NAME) is not None
    if not exists:
        _make(lab_host, network, underlay)
    with network.inside():
        interface = rtnetlink.find_interface(NAME)
        assert interface is not None
        if not interface.up:
            _set([netlink.attribute(_PRIVATE_KEY, os.urandom(_KEY_BYTES))])  # the kernel makes a key of any 32 bytes
            _open_port(lab_host, interface.index, first_port)
        return _read()


def connect(network: RunNamespace, own: str, mtu: int, peers: Sequence[Peer]) -> None:
    """Have this lab host's end know those of the others, and no longer any that is not named.

    Args:
        network: the run's namespace.
        own: this lab host's address in the tunnel, with its prefix length.
        mtu: of the tunnel.
        peers: the other lab hosts.

    Raises:
        OSError: the kernel refuses it.
    """
    with network.inside():
        interface = rtnetlink.find_interface(NAME)
        if interface is None:
            raise OSError(errno.ENODEV, f"there is no interface {NAME}")
        rtnetlink.set_mtu(interface.index, mtu)
        rtnetlink.add_address(interface.index, own)
        flags = netlink.attribute(_FLAGS, struct.pack("=I", _REPLACE_PEERS))
        for start in range(0, len(peers), _PEERS_AT_ONCE):  # a nested attribute has 64 kB at most
            some = b"".join(map(_peer, peers[start : start + _PEERS_AT_ONCE]))
            _set([flags, netlink.attribute(_PEERS | _NESTED, some)])
            flags = b""


def _make(lab_host: str, network: RunNamespace, underlay: str) -> None:
    assert network.path is not None
    try:
        with netns.inside(underlay):
            programs.run(["ip", "link", "add", "name", NAME, "netns", network.path, "type", "wireguard"])
    except programs.CommandError as error:
        raise LabNetworkError(
            f"lab host {lab_host} cannot encrypt what it sends to the others: its kernel {platform.release()} has no "
            f"WireGuard ({error.said})",
            hint=GET_WIREGUARD,
        ) from error


def _open_port(lab_host: str, index: int, first: int) -> None:
    """Bring the interface up with the first port that nothing else here uses."""
    for port in range(first, first + _PORTS):
        _set([netlink.attribute(_LISTEN_PORT, struct.pack("=H", port))])
        try:
            rtnetlink.set_up(index)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
    raise LabNetworkError(
        f"lab host {lab_host} has none of UDP ports {first} to {first + _PORTS - 1} free",
        hint="take down runs that are over (`fedsim-provision down`), or set `fedsim_lab_port`",
    )


def _set(values: Sequence[bytes]) -> None:
    """Set properties of the interface in the calling thread's namespace."""
    _ask(_SET_DEVICE, 0, [_name(), *values])


def _read() -> KeyHolder:
    """Where the interface in the calling thread's namespace receives, and its public key."""
    reply = _ask(_GET_DEVICE, netlink.DUMP, [_name()])[0]
    found = dict(netlink.attributes(reply[_GENERIC.size :]))
    port = struct.unpack("=H", found[_LISTEN_PORT])[0]
    return KeyHolder(base64.b64encode(found[_PUBLIC_KEY]).decode(), port)


def _name() -> bytes:
    return netlink.attribute(_INTERFACE, NAME.encode() + b"\0")


def _peer(peer: Peer) -> bytes:
    endpoint = struct.pack("=H", socket.AF_INET) + struct.pack(">H", peer.holder.port)
    endpoint += socket.inet_aton(peer.address) + bytes(8)
    allowed = netlink.attribute(_ALLOWED_FAMILY, struct.pack("=H", socket.AF_INET))
    allowed += netlink.attribute(_ALLOWED_ADDRESS, socket.inet_aton(peer.inside))
    allowed += netlink.attribute(_ALLOWED_MASK, bytes([32]))
    values = netlink.attribute(_PEER_KEY, base64.b64decode(peer.holder.public_key))
    values += netlink.attribute(_PEER_ENDPOINT, endpoint)
    values += netlink.attribute(_PEER_ALLOWED | _NESTED, netlink.attribute(0 | _NESTED, allowed))
    return netlink.attribute(0 | _NESTED, values)


def _ask(command: int, flags: int, values: Sequence[bytes]) -> list[bytes]:
    """Send a command to the kernel's WireGuard about the calling thread's namespace."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC) as channel:
        body = _GENERIC.pack(_GET_FAMILY, 1) + netlink.attribute(_FAMILY_NAME, b"wireguard\0")
        answer = netlink.ask(_CONTROL, 0, body, channel)[0]
        family: Mapping[int, bytes] = dict(netlink.attributes(answer[_GENERIC.size :]))
        number = struct.unpack("=H", family[_FAMILY_ID])[0]
        return netlink.ask(number, flags, _GENERIC.pack(command, 1) + b"".join(values), channel)

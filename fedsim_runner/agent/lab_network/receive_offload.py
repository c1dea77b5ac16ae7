"""What the kernel does to packets of VXLAN before the bridge has them: it would join successive ones of a flow (GRO).

The interface below has done that already where it can: it looks into VXLAN as soon as a socket receives that. A second
time is a queue more for each packet. Forms and numbers: linux/ethtool.h, linux/sockios.h.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_GET_GRO, _SET_GRO = 0x2B, 0x2C
_VALUE = struct.Struct("=II")  # command, value
_REQUEST = struct.Struct("@16sP16x")  # struct ifreq: name, address of the value


def turn_off_gro(interface: str) -> None:
    """Have packets passed on as they arrive, by an interface of the calling thread's network namespace.

    Raises:
        OSError: there is no such interface, or its kernel refuses it.
    """
    _call(interface, _SET_GRO, 0)


def has_gro(interface: str) -> bool:
    """Whether successive packets of a flow are joined there.

    Raises:
        OSError: there is no such interface.
    """
    return bool(_call(interface, _GET_GRO, 0))


def _call(interface: str, command: int, value: int) -> int:
    """The value after the call."""
    passed = array.array("B", _VALUE.pack(command, value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        fcntl.ioctl(channel, _SIOCETHTOOL, _REQUEST.pack(interface.encode(), passed.buffer_info()[0]))
    after: int = _VALUE.unpack(passed)[1]
    return after

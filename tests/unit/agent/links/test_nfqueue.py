"""A queue's messages: the kernel puts a packet's id first and its beginning last, but neither order is promised."""

from __future__ import annotations

import struct

from fedsim_runner.agent.links.userspace import nfqueue

SOURCE = bytes([10, 0, 0, 7])
IPV4 = bytes([0x45, 0, 0, 60, *[0] * 8]) + SOURCE + bytes([10, 0, 0, 9])
ID, INDEX, PAYLOAD = (1, struct.pack(">IHB", 77, 0x800, 0)), (5, b"\0\0\0\x02"), (10, IPV4)


def message(*attributes: tuple[int, bytes], kind: int = 3 << 8) -> bytes:
    body = b"\x02\0\0\0"
    for number, data in attributes:
        body += struct.pack("=HH", 4 + len(data), number) + data + bytes(-len(data) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_the_id_and_the_sender_are_found_in_any_order() -> None:
    for order in ((ID, INDEX, PAYLOAD), (ID, PAYLOAD, INDEX), (PAYLOAD, ID), (INDEX, PAYLOAD, ID)):
        assert nfqueue.parse_packet(message(*order)) == (77, SOURCE)


def test_what_is_no_packet_is_none() -> None:
    assert nfqueue.parse_packet(message(ID, PAYLOAD, kind=2)) is None
    assert nfqueue.parse_packet(message(INDEX, PAYLOAD)) is None
    assert nfqueue.parse_packet(message(ID)) == (77, b"")


def test_verdicts_can_be_sent_together() -> None:
    verdict = nfqueue.verdict(5, 77, nfqueue.ACCEPT)
    assert struct.unpack_from("=I", verdict)[0] == len(verdict) == 32
    assert struct.unpack_from(">H", verdict, 18)[0] == 5
    assert struct.unpack_from(">II", verdict, 24) == (nfqueue.ACCEPT, 77)

"""A queue's messages: the kernel puts a packet's id first and its beginning last, but neither order is promised."""

from __future__ import annotations

import struct

from fedsim_runner.agent.links.userspace import nfqueue

SOURCE = bytes([10, 0, 0, 7])
IPV4 = bytes([0x45, 0, 0, 60, *[0] * 8]) + SOURCE + bytes([10, 0, 0, 9])
ID, INDEX, PAYLOAD = (1, struct.pack(">IHB", 77, 0x800, 0)), (5, b"\0\0\0\x02"), (10, IPV4)
STAMP = (4, struct.pack(">QQ", 1_700_000_000, 250_000))
STAMPED = 1_700_000_000.25


def message(*attributes: tuple[int, bytes], kind: int = 3 << 8) -> bytes:
    body = b"\x02\0\0\0"
    for number, data in attributes:
        body += struct.pack("=HH", 4 + len(data), number) + data + bytes(-len(data) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_id_sender_length_and_arrival_are_found_in_any_order() -> None:
    parse = nfqueue.Parser().parse
    for order in (
        (ID, INDEX, STAMP, PAYLOAD),
        (ID, STAMP, PAYLOAD, INDEX),
        (PAYLOAD, STAMP, ID),
        (INDEX, PAYLOAD, ID, STAMP),
        (ID, STAMP, INDEX, PAYLOAD),
    ):
        for _ in range(2):  # the second time where it was
            assert parse(message(*order)) == (77, SOURCE, 60, STAMPED)


def test_without_a_stamp_the_arrival_is_not_known() -> None:
    parse = nfqueue.Parser().parse
    assert parse(message(ID, STAMP, PAYLOAD)) == (77, SOURCE, 60, STAMPED)
    assert parse(message(ID, INDEX, PAYLOAD)) == (77, SOURCE, 60, 0.0)
    # As long as the first, but with something else where its stamp was.
    assert parse(message(ID, (6, STAMP[1]), PAYLOAD)) == (77, SOURCE, 60, 0.0)


def test_who_sent_it_on_is_known_by_the_last_bytes_of_the_mac_address() -> None:
    parser = nfqueue.Parser()
    mac = (9, struct.pack(">HH", 6, 0) + bytes([2, 0xFD, 198, 18, 0, 5]) + b"\0\0")
    known = message(ID, INDEX, mac, STAMP, PAYLOAD)
    assert parser.parse(known) == (77, SOURCE, 60, STAMPED)
    assert parser.hop(known) == bytes([198, 18, 0, 5])
    for without in (message(ID, INDEX, STAMP, PAYLOAD), message(ID, INDEX, (8, mac[1]), STAMP, PAYLOAD)):
        parser.parse(without)
        assert parser.hop(without) is None


def test_what_is_no_packet_is_none() -> None:
    parse = nfqueue.Parser().parse
    assert parse(message(ID, PAYLOAD, kind=2)) is None
    assert parse(message(INDEX, PAYLOAD)) is None
    assert parse(message(ID)) == (77, b"", 0, 0.0)


def test_verdicts_can_be_sent_together() -> None:
    verdict = nfqueue.verdict(5, 77, nfqueue.ACCEPT)
    assert struct.unpack_from("=I", verdict)[0] == len(verdict) == 32
    assert struct.unpack_from(">H", verdict, 18)[0] == 5
    assert struct.unpack_from(">II", verdict, 24) == (nfqueue.ACCEPT, 77)

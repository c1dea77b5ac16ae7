"""Messages: we write and read the same bytes as FederatedScope."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.participant.light import wire
from fedsim_runner.participant.light.wire import Message
from tests.federatedscope import SETTINGS, SOURCE

MESSAGES = [
    Message("join_in", -1, [0], 0, {"host": "127.0.0.1", "port": 50052}),
    Message("assign_client_id", 0, [1], 0, "1"),
    Message("model_para", 3, [0], 4, [100, {"fc.weight": "gASV", "fc.bias": "gASW"}], 0),
    Message("evaluate", 0, [1, 2, 3], 4, {"fc.weight": [[0.5, -1.25], [0.0, 3.0]], "fc.bias": [0.5, 0.25]}),
    Message("address", 0, [1], 0, {1: "127.0.0.1:50052", 2: "127.0.0.1:50053"}),
    Message("metrics", 1, [0], 9, {"test_acc": 0.5, "test_total": 30}),
]

# Message("join_in", -1, [0], 0, {"host": "127.0.0.1", "port": 50052}).transform() of FederatedScope 0.3.0 with its own
# gRPC_comm_manager_pb2 and protobuf 3.20.3, serialised with deterministic=True.
FEDERATEDSCOPE_BYTES = bytes.fromhex(
    "0a340a07636f6e74656e7412291a270a150a04686f7374120d0a0b1a093132372e302e302e310a0e0a04706f72741206"
    "0a04108487030a170a086d73675f74797065120b0a091a076a6f696e5f696e0a140a087265636569766572120812060a"
    "040a0210000a170a0673656e646572120d0a0b10ffffffffffffffffff010a0d0a05737461746512040a0210000a110a"
    "0974696d657374616d7012040a021000"
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.msg_type)
def test_encoding_and_decoding(message: Message) -> None:
    assert wire.decode(wire.encode(message)) == message


def test_bytes_of_federatedscope() -> None:
    assert wire.decode(FEDERATEDSCOPE_BYTES) == MESSAGES[0]
    # The order of a map's entries is free, so the entries are compared.
    assert entries(wire.encode(MESSAGES[0])) == entries(FEDERATEDSCOPE_BYTES)


def entries(data: bytes) -> list[bytes]:
    """The entries of the outer map, short enough for a length of one byte."""
    found, at = [], 0
    while at < len(data):
        assert data[at] == 0x0A
        found.append(bytes(sorted(data[at + 2 : at + 2 + data[at + 1]])))
        at += 2 + data[at + 1]
    return sorted(found)


@pytest.mark.parametrize("data", [b"\xff\xff", b"", wire.encode(MESSAGES[0])[:-3]])
def test_invalid_message(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a FederatedScope message"):
        wire.decode(data)


@pytest.mark.parametrize("content", [None, b"x", object()])
def test_what_the_format_cannot_carry(content: Any) -> None:
    with pytest.raises(TypeError, match="cannot carry"):
        wire.encode(Message("model_para", 0, [1], 0, content))


@pytest.mark.federatedscope
@pytest.mark.skipif(not SOURCE, reason=f"{SETTINGS} name no FederatedScope checkout")
def test_field_numbers_of_the_checkout() -> None:
    source = Path(SOURCE) / "federatedscope/core/proto/gRPC_comm_manager.proto"
    text = source.read_text(encoding="utf-8")
    expected: dict[str, dict[str, int]] = {}
    for name, body in re.findall(r"message (\w+)\s*\{((?:[^{}]|\{[^{}]*\})*)\}", text):
        expected[name] = {field: int(number) for field, number in re.findall(r"(\w+) = (\d+);", body)}
    ours = {
        message.name: {field.name: field.number for field in message.field}
        for message in wire._descriptors().message_type
    }
    assert ours == expected
    service, method = re.findall(r"service (\w+)|rpc (\w+)", text)[0][0], re.findall(r"rpc (\w+)", text)[0]
    assert f"/{service}/{method}" == wire.METHOD

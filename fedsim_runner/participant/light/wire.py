"""FederatedScope's gRPC messages, as values.

The descriptors are made at run time from the field numbers of the wire format (FederatedScope's
``core/proto/gRPC_comm_manager.proto``): service ``gRPCComServeFunc``, method ``sendMessage``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

METHOD = "/gRPCComServeFunc/sendMessage"
#: The server's number as a sender or receiver; clients have those from 1 on.
SERVER = 0

_Field = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True)
class Message:
    """One message of a course. ``content`` is made of int, float, str, list and dict."""

    msg_type: str
    sender: int
    receiver: list[int]
    state: int
    content: Any = "None"
    timestamp: float = field(default=0)


def encode(message: Message) -> bytes:
    """Encode a message for the wire.

    Raises:
        TypeError: the format cannot carry a value.
    """
    request = _REQUEST()
    for name in ("sender", "receiver", "state", "msg_type", "content", "timestamp"):
        _fill(request.msg[name], getattr(message, name))
    return bytes(request.SerializeToString())


def decode(data: bytes) -> Message:
    """Decode the message in ``data``.

    Raises:
        ValueError: the bytes are not a message, or a part is missing.
    """
    request = _REQUEST()
    try:
        request.ParseFromString(data)
        parts = {name: _value(request.msg[name]) for name in request.msg}
        receiver = parts["receiver"]
        return Message(
            msg_type=str(parts["msg_type"]),
            sender=int(parts["sender"]),
            receiver=receiver if isinstance(receiver, list) else [receiver],
            state=int(parts["state"]),
            content=parts["content"],
            timestamp=parts["timestamp"],
        )
    except Exception as error:  # protobuf's own DecodeError class differs between its implementations
        raise ValueError(f"not a FederatedScope message: {type(error).__name__}") from error


def encode_acknowledgement() -> bytes:
    """The answer of a receiver."""
    return bytes(_RESPONSE(msg="ACK").SerializeToString())


def _fill(target: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        integers = bool(value) and not isinstance(next(iter(value)), str)
        dictionary = target.dict_msg_intkey if integers else target.dict_msg_stringkey
        dictionary.SetInParent()
        for key, item in value.items():
            _fill(dictionary.dict_value[key], item)
    elif isinstance(value, list | tuple):
        target.list_msg.SetInParent()
        for item in value:
            _fill(target.list_msg.list_value.add(), item)
    elif isinstance(value, np.ndarray):
        _fill(target, value.tolist())
    elif isinstance(value, bool | int | np.integer):
        target.single_msg.int_value = int(value)
    elif isinstance(value, float | np.floating):
        target.single_msg.float_value = float(value)
    elif isinstance(value, str):
        target.single_msg.str_value = value
    else:
        raise TypeError(f"a message cannot carry {type(value).__name__}")


def _value(node: Any) -> Any:
    kind = node.WhichOneof("type")
    if kind == "single_msg":
        single = node.single_msg
        return getattr(single, single.WhichOneof("type"))
    if kind == "list_msg":
        return [_value(item) for item in node.list_msg.list_value]
    if kind is None:
        return None
    dictionary = getattr(node, kind).dict_value
    return {key: _value(dictionary[key]) for key in dictionary}


def _field(name: str, number: int, kind: Any, **more: Any) -> Any:
    return _Field(name=name, number=number, type=kind, label=more.pop("label", _Field.LABEL_OPTIONAL), **more)


def _map(message: Any, name: str, key_kind: int) -> None:
    """A protobuf map is a repeated entry message with the option ``map_entry``."""
    entry_name = "".join(part.capitalize() for part in name.split("_")) + "Entry"
    entry = message.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    entry.field.append(_field("key", 1, key_kind))
    entry.field.append(_field("value", 2, _Field.TYPE_MESSAGE, type_name=".MsgValue"))
    message.field.append(
        _field(name, 1, _Field.TYPE_MESSAGE, type_name=f".{message.name}.{entry_name}", label=_Field.LABEL_REPEATED)
    )


def _descriptors() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="fedsim_participant.proto", syntax="proto3")
    _map(file.message_type.add(name="MessageRequest"), "msg", _Field.TYPE_STRING)
    value = file.message_type.add(name="MsgValue")
    value.oneof_decl.add(name="type")
    for number, (name, kind) in enumerate(
        (
            ("single_msg", ".mSingle"),
            ("list_msg", ".mList"),
            ("dict_msg_stringkey", ".mDict_keyIsString"),
            ("dict_msg_intkey", ".mDict_keyIsInt"),
        ),
        start=1,
    ):
        value.field.append(_field(name, number, _Field.TYPE_MESSAGE, type_name=kind, oneof_index=0))
    single = file.message_type.add(name="mSingle")
    single.oneof_decl.add(name="type")
    single.field.append(_field("float_value", 1, _Field.TYPE_FLOAT, oneof_index=0))
    single.field.append(_field("int_value", 2, _Field.TYPE_INT32, oneof_index=0))
    single.field.append(_field("str_value", 3, _Field.TYPE_STRING, oneof_index=0))
    file.message_type.add(name="mList").field.append(
        _field("list_value", 1, _Field.TYPE_MESSAGE, type_name=".MsgValue", label=_Field.LABEL_REPEATED)
    )
    _map(file.message_type.add(name="mDict_keyIsString"), "dict_value", _Field.TYPE_STRING)
    _map(file.message_type.add(name="mDict_keyIsInt"), "dict_value", _Field.TYPE_INT32)
    file.message_type.add(name="MessageResponse").field.append(_field("msg", 1, _Field.TYPE_STRING))
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_descriptors())
_REQUEST: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("MessageRequest"))
_RESPONSE: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("MessageResponse"))

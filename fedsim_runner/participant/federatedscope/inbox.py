"""The queue of arrived messages, which FederatedScope keeps as undecoded requests."""

from __future__ import annotations

from typing import Any


def text_of(request: Any, field: str) -> str:
    """A field of an undecoded message that holds a text."""
    return str(request.msg[field].single_msg.str_value)


def number_of(request: Any, field: str) -> int:
    """A field of an undecoded message that holds a number."""
    return int(request.msg[field].single_msg.int_value)


def address_in(request: Any) -> dict[str, Any]:
    """Host and port in an undecoded join, where it has them."""
    found = request.msg["content"].dict_msg_stringkey.dict_value
    address: dict[str, Any] = {}
    if "host" in found:
        address["host"] = str(found["host"].single_msg.str_value)
    if "port" in found:
        address["port"] = int(found["port"].single_msg.int_value)
    return address


def addresses_in(request: Any) -> dict[int, str]:
    """Addresses by client in an undecoded message that names all clients."""
    found = request.msg["content"].dict_msg_intkey.dict_value
    return {int(client): str(found[client].single_msg.str_value) for client in found}


def waiting_kinds(communication: Any) -> list[str]:
    """Types of the messages that have arrived and were not processed yet, oldest first."""
    return [text_of(request, "msg_type") for request in list(communication.server_funcs.msg_queue)]

"""Models as they come over the network: as tensors for any trainer, and in courses that share none.

FederatedScope's own trainers decode a model themselves; a user's own may not. Methods that share no model send an empty
mapping, which FederatedScope cannot encode.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Collection
from typing import Any

from .upstream import Place

MESSAGE = "federatedscope.core.message"
UTILITIES = "federatedscope.core.auxiliaries.utils"
PLACES = (
    Place(MESSAGE, "Message.build_msg_value", ("self", "value"), ("dict_msg_stringkey", "create_by_type")),
    Place(MESSAGE, "Message.create_by_type", ("self", "value", "nested"), ("dict_msg_stringkey",)),
    Place(UTILITIES, "param2tensor", ("param",), ("b64decode",)),
)
# Messages of a server that hold a model, or several.
_WITH_MODELS = ("model_para", "evaluate", "finish")


def encode_empty_models() -> None:
    """Let messages hold mappings with nothing in them."""
    module = importlib.import_module(MESSAGE)
    message = module.Message
    build, create = message.build_msg_value, message.create_by_type

    def empty() -> Any:
        value = module.gRPC_comm_manager_pb2.MsgValue()
        value.dict_msg_stringkey.SetInParent()
        return value

    def build_msg_value(self: Any, value: Any) -> Any:
        return empty() if value == {} else build(self, value)

    def create_by_type(self: Any, value: Any, nested: bool = False) -> Any:
        return empty() if nested and isinstance(value, dict) and not value else create(self, value, nested)

    message.build_msg_value = build_msg_value
    message.create_by_type = create_by_type


def decode_models(client: Any, kinds: Collection[str]) -> None:
    """Give a client's trainer the server's models as tensors; before anything else wraps its handlers.

    ``kinds``: those that FederatedScope's own handlers take. A handler of the user's own gets what the network brings,
    as it does without us: it may hold anything.
    """
    to_tensor = importlib.import_module(UTILITIES).param2tensor

    def decoded(content: Any) -> Any:
        if isinstance(content, dict):
            return {name: to_tensor(value) for name, value in content.items()}
        if isinstance(content, list) and all(isinstance(one, dict) for one in content):
            return [decoded(one) for one in content]
        return content

    def with_tensors(handle: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def handle_decoded(message: Any) -> Any:
            # What is no model is left to the trainer, which says in its own words what it cannot use.
            with contextlib.suppress(Exception):  # what is no pickle raises nearly anything
                message.content = decoded(message.content)
            return handle(message)

        return handle_decoded

    for kind in _WITH_MODELS:
        if kind in kinds:
            client.msg_handlers[kind] = with_tensors(client.msg_handlers[kind])

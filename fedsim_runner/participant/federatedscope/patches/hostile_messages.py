"""hostile_messages: one message of a client ends the server, runs code in it, or ends another client.

FederatedScope queues whatever arrives, believes the sender that a message names, and unpickles its content. Here a
message is asked for its sender, and its content checked, by ``doorkeeper.py``, before FederatedScope sees it.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

import grpc

from ...senders import NotYetError, Refusals, RefusedMessageError, source_of
from ..patch_context import PatchContext
from ..upstream import Place

INBOX = "federatedscope.core.gRPC_server"
SERVER = "federatedscope.core.workers.server"
PLACES = (
    Place(INBOX, "gRPCComServeFunc.sendMessage", ("self", "request", "context"), ("MessageResponse", "ACK")),
    Place(INBOX, "gRPCComServeFunc.receive", ("self",), ("msg_queue", "popleft")),
    Place("federatedscope.core.communication", "gRPCCommManager.receive", ("self",), ("server_funcs", "parse")),
    Place("federatedscope.core.message", "Message.parse", ("self", "received_msg"), ("sender", "content", "timestamp")),
    Place(
        SERVER,
        "Server.callback_funcs_model_para",
        ("self", "message"),
        ("content", "timestamp", "cur_timestamp", "msg_buffer"),
    ),
    Place(SERVER, "Server.callback_funcs_for_metrics", ("self", "message"), ("msg_buffer", "eval")),
    Place(SERVER, "Server.merge_eval_results_from_all_clients", ("self",), ("msg_buffer", "eval")),
    Place("federatedscope.core.auxiliaries.utils", "param2tensor", ("param",), ("b64decode",)),
    Place("federatedscope.core.trainers.utils", "filter_by_specified_keywords", ("param_name", "filter_keywords")),
)
NOT_READY = "this participant is still loading"

logger = logging.getLogger("federatedscope.core.workers")


def apply(shared: PatchContext) -> None:
    """Ask ``shared.accept`` before a message is queued, noted or counted. Apply it after all that wrap the inbox."""
    module = importlib.import_module(INBOX)
    inbox = module.gRPCComServeFunc
    put = inbox.sendMessage
    refused = Refusals(logger.warning)

    def take_accepted(self: Any, request: Any, context: Any) -> Any:
        accept = shared.accept
        if accept is None:
            return context.abort(grpc.StatusCode.UNAVAILABLE, NOT_READY)
        source = source_of(context.peer())
        try:
            taken = accept(request, source)
        except NotYetError as error:
            return context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except RefusedMessageError as error:
            refused.add(source, str(error))
            return context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        return put(self, request, context) if taken else module.gRPC_comm_manager_pb2.MessageResponse(msg="ACK")

    inbox.sendMessage = take_accepted

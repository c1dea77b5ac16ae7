"""hostile_messages: one message of a client ends the server, runs code in it, or ends another client.

FederatedScope queues whatever arrives, believes the sender that a message names, and unpickles its content. Here a
message is asked for its sender, and its content checked, by ``doorkeeper.py``, before FederatedScope sees it. What is
refused is logged, and reported if it is certain from whom it is.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

import grpc

from fedsim_runner.contract.participant_events import MessageRefused

from ...process_end import ENDING
from ...senders import NotYetError, Refusals, RefusedMessageError, UnaskedMessageError, source_of
from ..inbox import text_of
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
_SHOWN_KIND = 20
NOT_READY = "this participant is still loading"

logger = logging.getLogger("federatedscope.core.workers")


def apply(shared: PatchContext) -> None:
    """Ask ``shared.accept`` before a message is queued, noted or counted. Apply it after all that wrap the inbox."""
    module = importlib.import_module(INBOX)
    inbox = module.gRPCComServeFunc
    put = inbox.sendMessage
    refused = Refusals(logger.warning)

    def tell(request: Any, source: str, error: RefusedMessageError) -> None:
        kind = text_of(request, "msg_type")[:_SHOWN_KIND]
        if refused.add(source, str(error), kind) and error.client is not None:
            try:
                shared.reporter.report(MessageRefused(error.client, kind, str(error)))
            except OSError as failure:
                # Raised here it would reach the sender, which would try again.
                ENDING.give_up(f"cannot write: {failure}")

    def take_accepted(self: Any, request: Any, context: Any) -> Any:
        accept = shared.accept
        if accept is None:
            return context.abort(grpc.StatusCode.UNAVAILABLE, NOT_READY)
        source = source_of(context.peer())
        acknowledged = module.gRPC_comm_manager_pb2.MessageResponse(msg="ACK")
        try:
            return put(self, request, context) if accept(request, source) else acknowledged
        except NotYetError as error:
            return context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except UnaskedMessageError as error:
            tell(request, source, error)
            return acknowledged
        except RefusedMessageError as error:
            tell(request, source, error)
            return context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))

    inbox.sendMessage = take_accepted

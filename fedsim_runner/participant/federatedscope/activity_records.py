"""Activity records of FederatedScope: what it sends, receives, trains, evaluates and aggregates."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import Any

from fedsim_runner.contract.participant_events import Admitted

from ..activity import Activity
from ..process_end import ENDING
from ..reporting import Reporter
from .inbox import number_of, text_of
from .patch_context import PatchContext, peer_of
from .upstream import Place

COMMUNICATION = "federatedscope.core.communication"
INBOX = "federatedscope.core.gRPC_server"
PLACES = (
    Place(COMMUNICATION, "gRPCCommManager._send", ("self", "receiver_address", "message"), ("gRPCComServeFuncStub",)),
    Place(INBOX, "gRPCComServeFunc.sendMessage", ("self", "request", "context"), ("msg_queue",)),
    Place("federatedscope.core.workers.server", "Server._perform_federated_aggregation", ("self",)),
    Place("federatedscope.core.workers.server", "Server.eval", ("self",)),
    Place("federatedscope.core.workers.client", "Client.callback_funcs_for_evaluate", ("self", "message")),
)


def record_messages(shared: PatchContext) -> None:
    """Note every message that arrives, and those that FederatedScope's own ``_send`` sends.

    Call it before the patches: they send in another way, and note it themselves.
    """
    communication = importlib.import_module(COMMUNICATION)
    inbox = importlib.import_module(INBOX).gRPCComServeFunc
    activity = shared.activity
    manager, send, put = communication.gRPCCommManager, communication.gRPCCommManager._send, inbox.sendMessage
    stub_of = communication.gRPC_comm_manager_pb2_grpc.gRPCComServeFuncStub
    sending = threading.local()

    def noted_stub(channel: Any) -> Any:
        stub = stub_of(channel)
        call, peer = stub.sendMessage, sending.peer

        def noted_call(request: Any) -> Any:
            fields: dict[str, Any] = {"kind": text_of(request, "msg_type"), "round": number_of(request, "state")}
            fields |= {"peer": peer, "size": request.ByteSize()}
            activity.note("send", **fields)
            try:
                answer = call(request)
            except Exception:
                activity.note("send_failed", **fields)
                raise
            activity.note("sent", **fields)
            return answer

        stub.sendMessage = noted_call
        return stub

    def noted_send(self: Any, receiver_address: str, message: Any) -> None:
        sending.peer = peer_of(self, receiver_address)
        send(self, receiver_address, message)

    def noted_put(self: Any, request: Any, context: Any) -> Any:
        try:
            activity.note(
                "received",
                kind=text_of(request, "msg_type"),
                round=number_of(request, "state"),
                peer=number_of(request, "sender"),
                size=request.ByteSize(),
            )
        except OSError as error:
            # Raised here it would reach the sender, which would try again.
            ENDING.give_up(f"cannot write: {error}")
        return put(self, request, context)

    communication.gRPC_comm_manager_pb2_grpc.gRPCComServeFuncStub = noted_stub
    manager._send = noted_send
    inbox.sendMessage = noted_put


def record_client(client: Any, activity: Activity) -> None:
    """Note when a client trains and evaluates."""
    train, evaluate = client.trainer.train, client.msg_handlers.get("evaluate")

    def noted_train(*arguments: Any, **options: Any) -> Any:
        activity.note("train", round=int(client.state))
        answer = train(*arguments, **options)
        activity.note("trained", round=int(client.state))
        return answer

    def noted_evaluate(message: Any) -> Any:
        activity.note("evaluate", round=int(message.state))
        send = client.comm_manager.send

        def send_metrics(metrics: Any) -> None:
            # The handler's last step is to send its results, which is not part of the evaluation.
            activity.note("evaluated", round=int(message.state))
            send(metrics)

        client.comm_manager.send = send_metrics
        try:
            return evaluate(message)
        finally:
            client.comm_manager.send = send

    client.trainer.train = noted_train
    if evaluate is not None:  # a client of the user's own may do without
        client.msg_handlers["evaluate"] = noted_evaluate


def record_server(server: Any, activity: Activity) -> None:
    """Note when a server aggregates and evaluates."""
    server._perform_federated_aggregation = _noted(
        server._perform_federated_aggregation, activity, ("aggregate", "aggregated"), lambda: int(server.state)
    )
    if server._cfg.federate.make_global_eval:
        # It is called after the round was counted.
        server.eval = _noted(server.eval, activity, ("evaluate", "evaluated"), lambda: int(server.state) - 1)


def report_joins(server: Any, reporter: Reporter) -> None:
    """Report which client has which id."""
    join, neighbors = server.msg_handlers["join_in"], server.comm_manager.neighbors

    def reported_join(message: Any) -> Any:
        before = set(neighbors)
        answer = join(message)  # it may start the course
        for client in neighbors.keys() - before:
            reporter.report(Admitted(int(client), str(neighbors[client]).rpartition(":")[0]))
        return answer

    server.msg_handlers["join_in"] = reported_join


def _noted(
    function: Callable[..., Any], activity: Activity, steps: tuple[Any, Any], round_of: Callable[[], int]
) -> Callable[..., Any]:
    def noted(*arguments: Any, **options: Any) -> Any:
        number = round_of()
        activity.note(steps[0], round=number)
        answer = function(*arguments, **options)
        activity.note(steps[1], round=number)
        return answer

    return noted

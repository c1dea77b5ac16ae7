"""Whom a client takes messages from: the server, and where clients work with each other, those that it has named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fedsim_runner.participant.federatedscope.answers import UnusableAnswerError, check_importance, read_update
from fedsim_runner.participant.federatedscope.doorkeeper import BETWEEN_TREES, ServerDoor, guard_client
from fedsim_runner.participant.federatedscope.own_workers import OwnParts
from fedsim_runner.participant.federatedscope.patch_context import PatchContext
from fedsim_runner.participant.senders import NotYetError, RefusedMessageError, UnaskedMessageError

SERVER, PEER, OTHER = "198.18.0.1", "198.18.0.2", "198.18.0.3"


def request(kind: str, sender: int, peers: dict[int, str] | None = None) -> Any:
    """An undecoded message."""
    named = {number: SimpleNamespace(single_msg=SimpleNamespace(str_value=at)) for number, at in (peers or {}).items()}
    return SimpleNamespace(
        msg={
            "msg_type": SimpleNamespace(single_msg=SimpleNamespace(str_value=kind)),
            "sender": SimpleNamespace(single_msg=SimpleNamespace(int_value=sender)),
            "content": SimpleNamespace(dict_msg_intkey=SimpleNamespace(dict_value=named)),
        }
    )


def door(*between: str) -> Any:
    shared: Any = SimpleNamespace(accept=None)
    guard_client(SERVER, shared, lambda kind: kind in between)
    return shared.accept


def test_a_client_takes_messages_from_the_server_only() -> None:
    accept = door()
    assert accept(request("model_para", 0), SERVER)
    for message, source in (
        (request("model_para", 0), PEER),
        (request("model_para", 2), SERVER),
        (request("address", 0, {2: f"{PEER}:1"}), OTHER),
        (request("split", 2), PEER),
    ):
        with pytest.raises(RefusedMessageError, match="is not from the server"):
            accept(message, source)


def test_clients_that_grow_trees_take_messages_from_those_that_the_server_has_named() -> None:
    accept = door(*BETWEEN_TREES)
    with pytest.raises(NotYetError):
        accept(request("data_sample", 2), PEER)
    with pytest.raises(RefusedMessageError):
        accept(request("address", 0, {2: f"{OTHER}:50052"}), OTHER)  # who says so is not the server
    assert accept(request("address", 0, {1: f"{OTHER}:50052", 2: f"{PEER}:50052"}), SERVER)
    assert accept(request("data_sample", 2), PEER)
    for message, source in (
        (request("data_sample", 2), OTHER),
        (request("data_sample", 3), PEER),
        (request("model_para", 2), PEER),
        (request("finish", 2), PEER),
        (request("finish", 0), PEER),
    ):
        with pytest.raises(RefusedMessageError):
            accept(message, source)


@pytest.mark.parametrize("content", [None, [], "12", [1, "2"], {"1": 2}, [True]], ids=str)
def test_what_is_no_importance_of_features_is_refused(content: Any) -> None:
    with pytest.raises(UnusableAnswerError):
        check_importance(content)
    check_importance([0, 3, 1])


def test_models_that_nobody_averages_may_be_of_any_form() -> None:
    tree = SimpleNamespace(federate=SimpleNamespace(method="local"))
    server = SimpleNamespace(_cfg=tree, model_num=1, models=[None])
    assert read_update(server, [20, {"fc.weight": "a shape of its own"}]) == (20, {})
    with pytest.raises(UnusableAnswerError):
        read_update(server, [20, ["no names"]])


STOCK = OwnParts(None, False, counts_updates=True, keeps_rounds=True, aggregates=True, merges=True, counts_joins=True)
OWN = OwnParts(
    "StatsServer", True, counts_updates=True, keeps_rounds=True, aggregates=False, merges=True, counts_joins=True
)


class FakeServer:
    """As much of a server as its door looks at; client #1 is at ``PEER``."""

    def __init__(self, limit: int = 1000) -> None:
        distribute = SimpleNamespace(grpc_max_receive_message_length=limit)
        self._cfg = SimpleNamespace(vertical=SimpleNamespace(use=False), distribute=distribute)
        self.client_num = 1
        self.models: list[Any] = []
        self.cur_timestamp = 0.0
        self.msg_handlers: dict[str, Any] = {"model_para": None, "stats": None}
        self.sent: list[Any] = []
        self.comm_manager = SimpleNamespace(neighbors={1: f"{PEER}:50052"}, send=self.sent.append)

    def register_handlers(self, kind: str, handler: Any) -> None:
        self.msg_handlers[kind] = handler

    def merge_eval_results_from_all_clients(self) -> Any:
        return None


def message(kind: str, state: int = 0, size: int = 100, sender: int = 1) -> Any:
    def field(**value: Any) -> Any:
        return SimpleNamespace(single_msg=SimpleNamespace(**value))

    parts = {"msg_type": field(str_value=kind), "sender": field(int_value=sender), "state": field(int_value=state)}
    return SimpleNamespace(msg=parts, ByteSize=lambda: size)


def server_door(own: OwnParts, limit: int = 1000) -> tuple[FakeServer, Any]:
    server, shared = FakeServer(limit), SimpleNamespace(accept=None)
    ServerDoor(server, cast(PatchContext, shared), own)
    server.comm_manager.send(SimpleNamespace(msg_type="assign_client_id", receiver=[1], state=0))
    return server, shared.accept


def test_federatedscopes_server_takes_what_it_has_asked_for_once_and_names_the_rest() -> None:
    server, accept = server_door(STOCK)
    server.comm_manager.send(SimpleNamespace(msg_type="model_para", receiver=[1], state=3))
    with pytest.raises(UnaskedMessageError, match="#1 was not asked for 'model_para' of round 2; "):
        accept(message("model_para", 2), PEER)
    assert accept(message("model_para", 3), PEER)
    assert not accept(message("model_para", 3), PEER), "sent again, as its answer was lost"
    with pytest.raises(UnaskedMessageError) as refused:
        accept(message("stats"), PEER)
    assert refused.value.client == 1
    with pytest.raises(RefusedMessageError, match="it speaks for client #1") as spoofed:
        accept(message("stats"), OTHER)
    assert spoofed.value.client is None, "it is not certain from whom it is"


def test_a_server_of_the_users_own_takes_what_it_has_handlers_for() -> None:
    server, accept = server_door(OWN)
    assert accept(message("stats"), PEER) and accept(message("stats"), PEER) and accept(message("model_para", 9), PEER)
    with pytest.raises(UnaskedMessageError, match="FakeServer has no handler for 'logits', which client #1 sends"):
        accept(message("logits"), PEER)
    server.register_handlers("logits", None)
    assert accept(message("logits"), PEER), "handlers may come later"
    for kind in ("fedsim_dropped", "fedsim_wake_up"):
        with pytest.raises(UnaskedMessageError):
            accept(message(kind), PEER)
    for sender, source in ((1, OTHER), (2, PEER)):
        with pytest.raises(RefusedMessageError, match="it speaks for client"):
            accept(message("stats", sender=sender), source)


def test_what_waits_of_one_client_is_no_more_than_one_message_may_have() -> None:
    _, accept = server_door(OWN, limit=1000)
    assert accept(message("stats", size=2000), PEER), "gRPC itself refuses what is larger than the limit"
    with pytest.raises(NotYetError, match="1 messages of client #1 wait already"):
        accept(message("stats", size=1), PEER)


def test_a_client_that_was_given_up_need_not_end() -> None:
    server, accept = server_door(OWN)
    server.comm_manager.neighbors.clear()
    with pytest.raises(UnaskedMessageError, match="client #1 was given up"):
        accept(message("stats"), PEER)

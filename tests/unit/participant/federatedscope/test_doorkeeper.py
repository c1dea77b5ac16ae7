"""Whom a client takes messages from: the server, and where clients work with each other, those that it has named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fedsim_runner.participant.federatedscope.answers import UnusableAnswerError, check_importance, read_update
from fedsim_runner.participant.federatedscope.doorkeeper import guard_client
from fedsim_runner.participant.senders import NotYetError, RefusedMessageError

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


def door(with_others: bool) -> Any:
    shared: Any = SimpleNamespace(accept=None)
    guard_client(SERVER, shared, with_others)
    return shared.accept


def test_a_client_takes_messages_from_the_server_only() -> None:
    accept = door(with_others=False)
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
    accept = door(with_others=True)
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

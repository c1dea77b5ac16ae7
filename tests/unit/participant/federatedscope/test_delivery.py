"""Delivery of one message to one peer; no FederatedScope is needed."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import Mock

from fedsim_runner.contract.time_scale import TimeScale
from fedsim_runner.participant.federatedscope.delivery import Delivery
from fedsim_runner.participant.federatedscope.patch_context import PatchContext


def test_a_peer_that_was_given_up_is_sent_nothing() -> None:
    notes: list[str] = []
    unreachable = Mock()
    shared = PatchContext(Mock(note=lambda what, **_: notes.append(what)), Mock(), unreachable)
    delivery = Delivery(shared)
    message = Mock(msg_type="model_para", state=1)
    message.transform.return_value.SerializeToString.return_value = b"model"
    communication = SimpleNamespace(neighbors={}, comp_method=None)
    for forget in shared.forget:
        forget("198.18.0.2:50052")
    delivery.deliver(communication, "198.18.0.2:50052", message, retry_s=0.0)
    assert notes == []
    delivery.deliver(communication, "127.0.0.1:1", message, retry_s=0.0)
    assert notes == ["send", "send_failed"]
    assert unreachable.call_count == 1


def test_the_reason_of_a_dilated_run_says_how_long_it_tried_in_device_time() -> None:
    unreachable = Mock()
    shared = PatchContext(Mock(), Mock(), unreachable, scale=TimeScale(2.0))
    message = Mock(msg_type="model_para", state=1)
    message.transform.return_value.SerializeToString.return_value = b"model"
    communication = SimpleNamespace(neighbors={}, comp_method=None)
    Delivery(shared).deliver(communication, "127.0.0.1:1", message, retry_s=0.2)
    reason = unreachable.call_args.args[2]
    assert "tried for 0.2 s of device time: UNAVAILABLE" in reason, reason

"""async_updates: asynchronous aggregation crashes on the first update that came over the network.

What breaks FederatedScope's ``asyn`` mode between processes:

- the aggregator expects tensors, but gets their network encoding;
- an update that comes after the last round looks for the messages of a round that does not exist;
- the sampler is asked for more clients than are idle (over-selection, a time budget that has run out);
- a client whose stale update was dropped gets no model before the next aggregation, which may wait for it;
- models are sent, and a round is begun anew, although the last one is over;
- the alarm of a time budget interrupts whatever the server does.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Collection
from typing import Any

from .. import time_budget
from ..upstream import Place

SERVER = "federatedscope.core.workers.server"
AGGREGATOR = "federatedscope.core.aggregators.asyn_clients_avg_aggregator"
UTILITIES = "federatedscope.core.auxiliaries.utils"
SAMPLER = "federatedscope.core.sampler"
PLACES = (
    Place(AGGREGATOR, "AsynClientsAvgAggregator.aggregate", ("self", "agg_info"), ("client_feedback",)),
    Place(UTILITIES, "param2tensor", ("param",), ("b64decode",)),
    Place(
        SERVER,
        "Server.callback_funcs_model_para",
        ("self", "message"),
        ("staled_msg_buffer", "dropout_num", "sampler", "change_state", "is_finish"),
    ),
    Place(SERVER, "Server.check_and_move_on", ("self", "check_eval_result", "min_received_num"), ("total_round_num",)),
    Place(SERVER, "Server.broadcast_model_para", ("self", "msg_type", "sample_client_num"), ("sampler", "sample")),
    Place(SAMPLER, "UniformSampler.sample", ("self", "size"), ("client_state",)),
    *time_budget.PLACES,
)
IDLE = 1


def apply() -> None:
    """Make asynchronous courses (``asyn.aggregator: goal_achieved``) run between processes."""
    _decode_updates()
    _sample_idle_clients()
    _take_late_updates()
    _end_with_the_last_round()
    time_budget.interrupt_only_waiting()


def _decode_updates() -> None:
    aggregator = importlib.import_module(AGGREGATOR).AsynClientsAvgAggregator
    to_tensor = importlib.import_module(UTILITIES).param2tensor
    aggregate = aggregator.aggregate

    def aggregate_decoded(self: Any, agg_info: Any) -> Any:
        for _, parameters in agg_info["client_feedback"]:
            for name in parameters:
                parameters[name] = to_tensor(parameters[name])
        return aggregate(self, agg_info)

    aggregator.aggregate = aggregate_decoded


def _sample_idle_clients() -> None:
    sampler = importlib.import_module(SAMPLER).UniformSampler
    sample = sampler.sample

    def sample_idle(self: Any, size: int) -> Any:
        return sample(self, min(size, int((self.client_state == IDLE).sum())))

    sampler.sample = sample_idle


def _take_late_updates() -> None:
    module = importlib.import_module(SERVER)
    server = module.Server
    take = server.callback_funcs_model_para
    logger = logging.getLogger(SERVER)

    def take_update(self: Any, message: Any) -> Any:
        if not self._cfg.asyn.use or self.is_finish:
            return take(self, message)
        if self.state >= self.total_round_num:
            self.sampler.change_state(message.sender, "idle")
            logger.info(f"Drop a out-of-date message from round #{message.state}")
            return False
        moved_on = take(self, message)
        if not self.is_finish and not moved_on:
            top_up(self, int(self._cfg.asyn.min_received_num))
        return moved_on

    server.callback_funcs_model_para = take_update


def _end_with_the_last_round() -> None:
    server = importlib.import_module(SERVER).Server
    broadcast, check = server.broadcast_model_para, server.check_and_move_on

    def is_over(self: Any) -> bool:
        return bool(self._cfg.asyn.use and self.state >= self.total_round_num)

    def broadcast_for_a_round(self: Any, msg_type: str = "model_para", *arguments: Any, **options: Any) -> Any:
        if msg_type == "model_para" and is_over(self):
            return None  # with asyn.broadcast_manner after_receiving, or when the final evaluation takes its time
        return broadcast(self, msg_type, *arguments, **options)

    def check_a_round(self: Any, check_eval_result: bool = False, min_received_num: int | None = None) -> Any:
        if not check_eval_result and is_over(self):
            return False  # the buffer of stale updates still holds those of the last round
        return check(self, check_eval_result, min_received_num)

    server.broadcast_model_para = broadcast_for_a_round
    server.check_and_move_on = check_a_round


def top_up(server: Any, needed: int, away: Collection[int] = ()) -> None:
    """Send the model to idle clients if the busy ones cannot bring the round to ``needed`` updates.

    ``away``: clients that are offline, from which nothing comes.
    """
    if server._cfg.asyn.aggregator != "goal_achieved" or server.state >= server.total_round_num:
        return
    contributed = set(server.msg_buffer["train"].get(server.state, {}))
    contributed |= {client for _, client, _ in server.staled_msg_buffer}
    received = len(server.msg_buffer["train"].get(server.state, {})) + len(server.staled_msg_buffer)
    states = server.sampler.client_state
    known = sorted(int(client) for client in server.comm_manager.neighbors)
    busy = [client for client in known if states[client] != IDLE and client not in away]
    free = [client for client in known if states[client] == IDLE and client not in contributed]
    missing = needed - received - len(busy)
    if missing <= 0 or not free:
        return
    # Another update of a client that has contributed would replace its first.
    resting = [client for client in known if states[client] == IDLE and client in contributed]
    server.sampler.change_state(resting, "working")
    server.broadcast_model_para(msg_type="model_para", sample_client_num=min(missing, len(free)))
    server.sampler.change_state(resting, "idle")

"""Methods of a user's own, as files of ``contrib``: kinds of messages and contents that FederatedScope's have not."""

from __future__ import annotations

import shutil
from pathlib import Path

_HEAD = """
import logging
import numpy as np
import torch
from federatedscope.core.auxiliaries.utils import param2tensor
from federatedscope.core.message import Message
from federatedscope.core.workers import Client, Server
from federatedscope.register import register_worker

logger = logging.getLogger("federatedscope.contrib")

def offer(name, server, client):
    register_worker(name, lambda method: {"client": client, "server": server} if method == name else None)
"""
# A kind of its own, answered by a kind of its own, before the first round.
STATISTICS = (
    _HEAD
    + """
class StatisticsServer(Server):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.statistics = {}
        self.register_handlers("statistics", self.on_statistics, [])

    def trigger_for_start(self):
        if self.check_client_join_in():
            receivers = list(self.comm_manager.neighbors)
            self.comm_manager.send(Message("ask_statistics", sender=0, receiver=receivers, content=""))

    def on_statistics(self, message):
        self.statistics[message.sender] = message.content
        if len(self.statistics) == self.client_num:
            total = sum(one["count"] for one in self.statistics.values())
            mean = sum(np.array(one["means"]["x"]) * one["count"] for one in self.statistics.values()) / total
            logger.info(f"statistics of {total} samples, mean {mean.mean():.5f}")
            super().trigger_for_start()

class StatisticsClient(Client):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_handlers("ask_statistics", self.on_question, ["statistics"])

    def on_question(self, message):
        x = np.asarray(self.data["train"]["x"])
        content = {"count": len(x), "means": {"x": x.mean(0)}, "note": "a text that is no pickle"}
        self.comm_manager.send(Message("statistics", sender=self.ID, receiver=[0], content=content))

offer("withstatistics", StatisticsServer, StatisticsClient)
"""
)
# A signal in place of a model, and an answer that is no update.
SIGNALS = (
    _HEAD
    + """
class SignalServer(Server):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.counts = {}

    def trigger_for_start(self):
        if self.check_client_join_in():
            self.comm_manager.send(Message("model_para", sender=0, receiver=list(self.comm_manager.neighbors),
                                           content={"signal": "collect", "labels": [1, 2]}))

    def callback_funcs_model_para(self, message):
        if self.counts is None:
            return super().callback_funcs_model_para(message)
        self.counts[message.sender] = param2tensor(message.content["counts"])
        if len(self.counts) == self.client_num:
            logger.info(f"counts {sum(self.counts.values()).tolist()}")
            self.counts = None
            super().trigger_for_start()

class SignalClient(Client):
    def callback_funcs_for_model_para(self, message):
        if "signal" not in message.content:
            return super().callback_funcs_for_model_para(message)
        counts = {"counts": torch.bincount(torch.as_tensor(self.data["train"]["y"]), minlength=10)}
        self.comm_manager.send(Message("model_para", sender=self.ID, receiver=[0], content=counts))

offer("withsignals", SignalServer, SignalClient)
"""
)
# Updates that are means of each class by number, and rounds of the server's own.
PROTOTYPES = (
    _HEAD
    + """
class PrototypeServer(Server):
    def check_and_move_on(self, check_eval_result=False, min_received_num=None):
        if check_eval_result:
            return super().check_and_move_on(check_eval_result, min_received_num)
        if not self.check_buffer(self.state, self.client_num):
            return False
        sums = {}
        for number, (count, means) in sorted(self.msg_buffer["train"][self.state].items()):
            for label, mean in means.items():
                sums.setdefault(label, []).append(param2tensor(mean))
        means = {label: torch.stack(found).mean(0) for label, found in sums.items()}
        logger.info(f"{len(means)} prototypes, sum {float(torch.stack(list(means.values())).sum()):.4f}")
        self.msg_buffer["train"].clear()
        self.state += 1
        if self.state < self.total_round_num:
            logger.info(f"----------- Starting a new training round (Round #{self.state}) -------------")
            self.comm_manager.send(Message("global_prototypes", sender=0, receiver=list(self.comm_manager.neighbors),
                                           state=self.state, content=means))
        else:
            logger.info("Server: Training is finished! Starting evaluation.")
            self.eval()
        return True

class PrototypeClient(Client):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_handlers("global_prototypes", self.callback_funcs_for_model_para, ["model_para"])
        self.shift = 0.0

    def callback_funcs_for_model_para(self, message):
        self.state = message.state
        if message.msg_type == "global_prototypes":
            self.shift = float(torch.FloatTensor(message.content[1]).mean())
        else:
            self.trainer.update(message.content)
        count, model, results = self.trainer.train()
        x, y = (torch.as_tensor(self.data["train"][part]) for part in "xy")
        found = {label: x[y == label].mean(0) + self.shift for label in range(10)}
        self.comm_manager.send(Message("model_para", sender=self.ID, receiver=[0], state=self.state,
                                       content=(count, found)))

offer("withprototypes", PrototypeServer, PrototypeClient)
"""
)
# Updates that are lists of numpy's arrays, averaged by code of the user's own; and a metric.
ARRAYS = (
    _HEAD
    + """
class ArrayServer(Server):
    def _perform_federated_aggregation(self):
        updates = [found for _, found in sorted(self.msg_buffer["train"][self.state].items())]
        total = sum(count for count, _ in updates)
        model = self.models[0].state_dict()
        for position, name in enumerate(model):
            parts = [torch.as_tensor(param2tensor(arrays[position])) * (count / total) for count, arrays in updates]
            model[name] = sum(parts)
        self.models[0].load_state_dict(model)
        return len(updates)

class ArrayClient(Client):
    def callback_funcs_for_model_para(self, message):
        self.trainer.update(message.content)
        self.state = message.state
        count, model, results = self.trainer.train()
        arrays = [value.numpy() for value in model.values()]
        self.comm_manager.send(Message("model_para", sender=self.ID, receiver=[0], state=self.state,
                                       content=(count, arrays)))

offer("witharrays", ArrayServer, ArrayClient)
"""
)
# Clients that tell each other something, before the first round.
GOSSIP = (
    _HEAD
    + """
class GossipServer(Server):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.told = {}
        self.register_handlers("heard", self.on_heard, [])

    def trigger_for_start(self):
        if self.check_client_join_in():
            self.broadcast_client_address()
            clients = list(self.comm_manager.neighbors)
            self.comm_manager.send(Message("gossip_now", sender=0, receiver=clients, content=""))

    def on_heard(self, message):
        self.told[message.sender] = message.content["sum"]
        if len(self.told) == self.client_num:
            logger.info(f"gossip {sorted(self.told.items())}")
            super().trigger_for_start()

class GossipClient(Client):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.words = {}
        self.peers = None
        self.register_handlers("gossip_now", self.on_start, ["word"])
        self.register_handlers("word", self.on_word, ["heard"])

    def on_start(self, message):
        self.peers = [each for each in self.comm_manager.neighbors if each not in (0, self.ID)]
        word = {"number": self.ID * 10, "vector": torch.ones(3) * self.ID}
        self.comm_manager.send(Message("word", sender=self.ID, receiver=self.peers, content=word))
        self.tell()

    def on_word(self, message):
        self.words[message.sender] = message.content["number"] + sum(message.content["vector"])
        self.tell()

    def tell(self):
        if self.peers is not None and len(self.words) == len(self.peers):
            content = {"sum": sum(self.words.values())}
            self.comm_manager.send(Message("heard", sender=self.ID, receiver=[0], content=content))

offer("withgossip", GossipServer, GossipClient)
"""
)
METRIC_NAME = "margin of the best"
METRIC = """
import numpy as np
from federatedscope.register import register_metric

def margin(ctx, y_prob, **kwargs):
    best = np.sort(np.squeeze(y_prob), axis=1)
    return np.float64((best[:, -1] - best[:, -2]).mean())

register_metric("margin of the best", lambda types: ("margin of the best", margin, True))
"""
# By the method's name.
METHODS = {
    "withstatistics": STATISTICS,
    "withsignals": SIGNALS,
    "withprototypes": PROTOTYPES,
    "witharrays": ARRAYS,
    "withgossip": GOSSIP,
}


def checkout_with_methods(source: Path, folder: Path) -> Path:
    """A checkout, in ``folder``, of the FederatedScope at ``source`` with all of these; it refers to the original."""
    package = folder / "federatedscope"
    package.mkdir(parents=True)
    for entry in (source / "federatedscope").iterdir():
        if entry.name == "contrib":
            shutil.copytree(entry, package / "contrib", ignore=shutil.ignore_patterns("*.pyc"))
        else:
            (package / entry.name).symlink_to(entry)
    for name, text in METHODS.items():
        (package / "contrib" / "worker" / f"{name}.py").write_text(text, encoding="utf-8")
    (package / "contrib" / "metrics" / "margin.py").write_text(METRIC, encoding="utf-8")
    (folder / "setup.py").symlink_to(source / "setup.py")
    return folder

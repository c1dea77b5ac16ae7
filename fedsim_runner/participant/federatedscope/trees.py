"""The progress and the end of a course that grows trees, each client with features of its own.

FederatedScope's server of trees logs results, but neither when a round of training begins nor that the course is over,
and says twice that it is. One tree is one round.
"""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any

from .upstream import Place, expect_for_course

SERVER = "federatedscope.vertical_fl.tree_based_models.worker.TreeServer"
PLACES = (
    Place(SERVER, "TreeServer.terminate", ("self", "msg_type"), ("comm_manager", "send", "total_round_num")),
    Place(
        "federatedscope.vertical_fl.tree_based_models.worker.evaluation_wrapper",
        "wrap_server_for_evaluation",
        ("server",),
        ("_check_and_save_result", "num_of_trees", "terminate"),
    ),
)

# FederatedScope's own sets, which its loader imports.
SETS = "federatedscope.vertical_fl.dataset"
_NAMES = ("Adult", "Abalone", "Credit", "Blog")

logger = logging.getLogger("federatedscope.core.workers.server")


def leave_out_data_sets() -> None:
    """Import trees without FederatedScope's own sets, which bring pandas and torchvision: a device has its data."""
    module = ModuleType(SETS)
    module.__dict__.update(dict.fromkeys(_NAMES))
    sys.modules.setdefault(SETS, module)


def follow_trees(server: Any) -> None:
    """Have a server of trees log its rounds and its end in the words of other servers, and end once.

    Raises:
        UnsupportedError: FederatedScope has changed.
    """
    expect_for_course("the progress of trees", *PLACES)
    terminate, save, format_results = server.terminate, server._check_and_save_result, server._monitor.format_eval_res

    def terminate_once(msg_type: str = "finish") -> None:
        if server.is_finish:
            return
        server.is_finish = True
        logger.info("Server: Training is finished! Starting evaluation.")
        logger.info("Server: Final evaluation is finished! Starting merging results.")
        terminate(msg_type)

    def announce(results: Any, rnd: int, **options: Any) -> Any:
        logger.info(f"Server: Starting evaluation at the end of round {rnd}.")
        return format_results(results, rnd=rnd, **options)

    def save_and_log() -> None:
        before = getattr(server, "metrics", None)
        save()  # which takes the metrics of a tree once all its results are there
        if getattr(server, "metrics", None) is not before and not server.is_finish:
            logger.info(f"----------- Starting a new training round (Round #{server.state + 1}) -------------")

    server._monitor.format_eval_res = announce
    server.terminate = terminate_once
    server._check_and_save_result = save_and_log

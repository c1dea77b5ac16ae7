"""Which courses of FederatedScope can have policies, and what of its server these rely on."""

from __future__ import annotations

import importlib
from typing import Any

from fedsim_runner.contract.records import LaunchSettings

from ..exit_errors import UnsupportedError
from .upstream import Place

SERVER = "federatedscope.core.workers.server"
PLACES = (
    Place(
        SERVER,
        "Server.check_and_move_on",
        ("self", "check_eval_result", "min_received_num"),
        ("check_buffer", "state", "total_round_num", "_start_new_training_round", "_merge_and_format_eval_results"),
    ),
    Place(SERVER, "Server.check_buffer", ("self", "cur_round", "min_received_num"), ("msg_buffer", "eval", "train")),
    Place(SERVER, "Server.callback_funcs_model_para", ("self", "message"), ("sampler", "change_state", "is_finish")),
    Place(SERVER, "Server.broadcast_model_para", ("self", "msg_type", "sample_client_num"), ("sampler", "neighbors")),
    Place(SERVER, "Server.trigger_for_start", ("self",), ("check_client_join_in",)),
    Place(SERVER, "Server.check_client_join_in", ("self",), ("join_in_info", "join_in_client_num", "client_num")),
    Place(SERVER, "Server.run", ("self",), ("msg_handlers", "comm_manager", "receive", "state")),
)
KEY = "course.on_client_failure, course.round_deadline, course.round_quorum and clients that go offline"


def are_enabled(settings: LaunchSettings) -> bool:
    """Whether the course has a policy that FederatedScope itself does not have."""
    ends_early = settings.round_deadline_s is not None or settings.round_quorum is not None
    return settings.on_client_failure == "continue" or ends_early or settings.goes_offline


def refuse_other_courses(server: Any, settings: LaunchSettings) -> None:
    """Refuse courses whose servers run other kinds of rounds.

    Raises:
        UnsupportedError: this is one.
    """
    plain = importlib.import_module(SERVER).Server
    tree = server._cfg
    reasons = [
        f"{type(server).__name__} has its own kind of rounds"
        for name in ("check_and_move_on", "check_buffer")
        if getattr(type(server), name) is not getattr(plain, name) or name in vars(server)
    ][:1]
    reasons += ["federate.use_ss shares secrets among all clients"] if tree.federate.use_ss else []
    reasons += ["vertical.use needs the features of all clients"] if tree.vertical.use else []
    reasons += ["federate.online_aggr aggregates late updates as well"] if tree.federate.online_aggr else []
    if server.sampler is None:
        reasons.append(f"federate.sampler {tree.federate.sampler} does not know lost clients")
    needed = {"lost_message", "blocked_broadcast"} & set(settings.patches_off)
    if settings.goes_offline and needed:
        reasons.append(f"devices that go offline need federatedscope.patches.{' and '.join(sorted(needed))}")
    limits = {"course.round_deadline": settings.round_deadline_s, "course.round_quorum": settings.round_quorum}
    for key in (key for key, value in limits.items() if value is not None and tree.asyn.use):
        reasons.append(f"asyn.use has no rounds that end for all, {key} is for synchronous courses")
    if reasons:
        raise UnsupportedError(f"{KEY} are not possible in this course: {'; '.join(reasons)}")

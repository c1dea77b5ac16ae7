"""One participant's course in FederatedScope itself: all that can be done before the gate, and the course."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from fedsim_runner.contract.participant_events import ClientLost, Finished
from fedsim_runner.contract.records import LaunchSettings

from ..absences import Absences
from ..activity import Activity
from ..exit_errors import ParticipantError, UnsupportedError
from ..launch import load_launch_settings
from ..process_end import ENDING
from ..reporting import Reporter
from . import (
    activity_records,
    contrib_import,
    data,
    models,
    own_workers,
    patches,
    possible_policies,
    saved_model,
    scratch,
    target,
    trees,
    update_accounts,
)
from .client import FINISH, prefer_newest
from .doorkeeper import ServerDoor, guard_client, kinds_between
from .inbox import waiting_kinds
from .log_events import report_log
from .log_warnings import LogWarnings
from .patch_context import PatchContext
from .patches import contrib_modules
from .policies import Policies
from .slow_messages import warn_of_slow_messages
from .small_steps import compute_small_steps_alone
from .update_accounts import UpdateAccounts
from .upstream import Place, expect_for_course

RUNNER = "federatedscope.core.fed_runner"
PLACES = (
    Place(RUNNER, "DistributedRunner._set_up", ("self",), ("server", "client", "_setup_server", "_setup_client")),
    Place("federatedscope.core.auxiliaries.logging", "update_logger", ("cfg", "clear_before_add")),
    Place("federatedscope.core.auxiliaries.runner_builder", "get_runner", ("server_class", "client_class", "config")),
    Place("federatedscope.core.communication", "gRPCCommManager.receive", ("self",), ("server_funcs",)),
)
# What is relied on in any course, apart from patches.
PARTS: dict[str, tuple[Place, ...]] = {
    "the launcher": PLACES,
    "the loader of shards": data.PLACES,
    "the records of activity": activity_records.PLACES,
    "the accounts of updates": update_accounts.PLACES,
    "models in messages": models.PLACES,
}
HOW_TO_ADD = "name missing packages in federatedscope.requirements; without Docker, install them for this interpreter"
# For how long after its end a client still answers messages.
FAREWELL_S = 2.0

logger = logging.getLogger("federatedscope.core.workers")


def load(config: Path, gate: Path, reporter: Reporter) -> Callable[[], None]:
    """Prepare the course that ``config`` describes, without sending anything; return what takes part in it.

    The returned function raises a ParticipantError if too few clients are left.

    Raises:
        UnsupportedError: FederatedScope is missing or has changed, or the policies are not possible in this course.
        ParticipantError: a file is missing or broken, or the port is in use.
    """
    settings = load_launch_settings(config)
    folder = _out_folder(config)
    writable = _enter(folder)
    try:
        course = _load_course(config, gate, settings, reporter)
    except BaseException:
        _tidy(writable)
        raise

    def take_part() -> None:
        try:
            with _logged():
                course()
        finally:
            _tidy(writable)

    return take_part


def _tidy(writable: Path) -> None:
    if writable.is_dir() and not any(writable.iterdir()):
        writable.rmdir()


def _out_folder(config: Path) -> Path:
    """``outdir`` of the configuration, to which everything is written."""
    try:
        tree = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ParticipantError(f"{config}: cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise ParticipantError(f"{config}: expected a mapping, got {type(tree).__name__}")
    return Path(str(tree.get("outdir") or config.parent)).absolute()


def _enter(folder: Path) -> Path:
    """Change to ``folder``, use its scratch folder for temporary files, and return the latter."""
    writable = folder / scratch.FOLDER
    try:
        writable.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)  # federate.save_to and others are relative to it
    except OSError as error:
        raise ParticipantError(f"{folder}: cannot be written: {error}") from error
    scratch.use(writable, os.environ)
    for name in ("http_proxy", "https_proxy"):  # as FederatedScope's main.py
        os.environ.pop(name, None)
    return writable


def _load_course(config: Path, gate: Path, settings: LaunchSettings, reporter: Reporter) -> Callable[[], None]:
    off = settings.patches_off
    warnings = LogWarnings(reporter)
    warnings.attach()
    _import(off)
    tree = _read_config(config)
    _check(settings, str(tree.distribute.role))
    patches.apply_to_logs(off)
    tree.outdir = str(Path.cwd())
    with _logged():
        importlib.import_module("federatedscope.core.auxiliaries.logging").update_logger(tree, clear_before_add=True)
        warnings.attach()
        contrib_modules.log_left_out()
        report_log(reporter)
        return _load_participant(tree, gate, settings, reporter)


@contextmanager
def _logged() -> Iterator[None]:
    """Log why a participant fails: the log's last lines are shown when a course fails, and must include the reason."""
    try:
        yield
    except ParticipantError as error:
        logger.error(str(error))
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ParticipantError(f"cannot write: {error}") from error


def _import(off: tuple[str, ...]) -> None:
    try:
        patches.apply_at_import(off)
        importlib.import_module("federatedscope.core.auxiliaries.runner_builder")
    except ImportError as error:
        raise UnsupportedError(f"engine federatedscope: it cannot be imported here: {error}") from error


def _check(settings: LaunchSettings, role: str) -> None:
    """Check that FederatedScope is what all parts of the launcher were made for, before any of them changes it."""
    patches.check(settings.patches_off)
    for part, places in PARTS.items():
        expect_for_course(part, *places)
    if role == "server":
        expect_for_course("the global model's file", *saved_model.PLACES)
    if role == "server" and possible_policies.are_enabled(settings):
        expect_for_course(possible_policies.KEY, *possible_policies.PLACES)
    if role == "server" and settings.target is not None:
        expect_for_course(target.KEY, *target.PLACES)


def _read_config(config: Path) -> Any:
    """FederatedScope's configuration, as its main.py makes it."""
    tree = importlib.import_module("federatedscope.core.configs.config").global_cfg.clone()
    try:
        tree.merge_from_file(str(config))
    except (OSError, KeyError, ValueError, AssertionError, AttributeError, yaml.YAMLError) as error:
        raise ParticipantError(f"{config}: FederatedScope refuses it: {error}{_left_out()}") from error
    if tree.federate.mode != "distributed" or tree.distribute.role not in ("server", "client"):
        raise ParticipantError(f"{config}: expected federate.mode distributed and distribute.role server or client")
    return tree


def _load_participant(tree: Any, gate: Path, settings: LaunchSettings, reporter: Reporter) -> Callable[[], None]:
    role = str(tree.distribute.role)
    try:
        activity = Activity(Path(tree.outdir))
    except OSError as error:
        raise ParticipantError(f"cannot write: {error}") from error
    shared = PatchContext(
        activity,
        reporter,
        partial(_give_up, reporter),
        answer_s=settings.answer_s,
        parted_s=settings.parted_s,
        scale=settings.time_scale,
    )
    data.register_npz_loader()
    activity_records.record_messages(shared)
    absences = Absences(gate, settings.device) if settings.goes_offline else None
    patches.apply_to_course(settings.patches_off, shared, absences)
    models.encode_empty_models()
    if tree.vertical.use:
        trees.leave_out_data_sets()
    runner = _runner(tree)
    guarded = "hostile_messages" not in settings.patches_off
    if role == "server":
        return _server(runner, gate, settings, shared, guarded)
    return _client(runner, shared, guarded)


def _runner(tree: Any) -> Any:
    """Data, model, worker and its open port, as FederatedScope's main.py makes them."""
    builders = "federatedscope.core.auxiliaries"
    importlib.import_module(f"{builders}.utils").setup_seed(tree.seed)
    own_data, changed = importlib.import_module(f"{builders}.data_builder").get_data(
        config=tree.clone(), client_cfgs=None
    )
    tree.merge_from_other_cfg(changed)
    try:
        tree.freeze()  # which checks it
    except (AssertionError, ValueError) as error:
        raise ParticipantError(f"FederatedScope refuses the configuration: {error}") from error
    workers = importlib.import_module(f"{builders}.worker_builder")
    try:
        return importlib.import_module(f"{builders}.runner_builder").get_runner(
            data=own_data,
            server_class=workers.get_server_cls(tree),
            client_class=workers.get_client_cls(tree),
            config=tree.clone(),
            client_configs=None,
        )
    except RuntimeError as error:
        if "loading state_dict" in str(error):  # torch's, for federate.restore_from
            reason = " ".join(str(error).split())
            raise ParticipantError(f"{tree.federate.restore_from} does not fit the model: {reason}") from error
        if "bind" not in str(error):
            raise
        raise ParticipantError(f"cannot listen: {error}") from error
    except ValueError as error:  # among others a model or trainer that nothing provides
        raise ParticipantError(f"FederatedScope: {error}{_left_out()}") from error


def _left_out() -> str:
    """The end of a message about something that FederatedScope does not find."""
    modules = contrib_import.describe_left_out()
    hint = f"; {HOW_TO_ADD}" if "ModuleNotFoundError" in modules else ""
    return f"; left out, as it cannot be imported here: {modules}{hint}" if modules else ""


def _server(
    runner: Any, gate: Path, settings: LaunchSettings, shared: PatchContext, guarded: bool
) -> Callable[[], None]:
    server = runner.server
    own = own_workers.look_at_server(server)
    activity_records.record_server(server, shared.activity)
    activity_records.report_joins(server, shared.reporter)
    accounts = UpdateAccounts(server, shared) if own.keeps_rounds else None
    saved_model.save_in_one_step(server, Path(scratch.FOLDER))
    if settings.target is not None:
        target.end_at_target(server, settings.target, shared.reporter)
    if server._cfg.vertical.use:
        trees.follow_trees(server)
    else:  # trees have no parameters
        warn_of_slow_messages(server)
    if guarded:
        ServerDoor(server, shared, own)
    poll: Callable[[], None] = _do_nothing
    if possible_policies.are_enabled(settings):
        active = Policies(server, gate, settings, shared)
        poll = active.drop_lost_clients
        if settings.on_client_failure == "continue":
            shared.unreachable = active.unreachable

    def serve() -> None:
        runner.run()
        if accounts is not None:
            accounts.close()
        for flush in shared.flush:
            flush(poll)
        if own.says_anything:  # it counts rounds, and says that they are over, in its own way
            shared.reporter.report_once(Finished())
        elif server.state <= server.total_round_num:  # it logs the failure, but returns normally
            raise ParticipantError(f"FederatedScope gave up training in round #{server.state}: too few updates came")

    return serve


def _client(runner: Any, shared: PatchContext, guarded: bool) -> Callable[[], None]:
    client = runner.client
    own = own_workers.has_own_method(client)
    if guarded:
        guard_client(str(client._cfg.distribute.server_host), shared, kinds_between(client))

    def server_unreachable(peer: int, kind: str, reason: str) -> None:
        if FINISH not in waiting_kinds(client.comm_manager):  # otherwise the course is over and the server has ended
            _give_up(shared.reporter, peer, kind, reason)

    shared.unreachable = server_unreachable
    models.decode_models(client, own_workers.upstreams_kinds(client))
    activity_records.record_client(client, shared.activity)
    if not own:  # what a server of the user's own sends twice may be two things
        prefer_newest(client)
    compute_small_steps_alone()

    def attend() -> None:
        runner.run()
        if own:  # it may take its leave without a word in the log
            shared.reporter.report_once(Finished())
        # The server waits for the answer to what it has just sent; it is lost if this device's network ends before.
        farewell_s = shared.scale.to_wall(FAREWELL_S)
        client.comm_manager.grpc_server.stop(farewell_s).wait(farewell_s)
        time.sleep(shared.answer_s / 2)

    return attend


def _give_up(reporter: Reporter, peer: int, kind: str, reason: str) -> None:
    """The reaction to an unreachable peer where no policy applies."""
    who = f"client #{peer}" if peer else "the server"
    if kind == FINISH:
        logger.warning(f"{who}: {reason}")
        return
    logger.error(f"{who}: {reason}")
    if peer > 0:
        with contextlib.suppress(OSError):  # the end itself has a reason
            reporter.report(ClientLost(peer, reason))
    ENDING.give_up(f"{who}: {reason}")


def _do_nothing() -> None:
    """Without policies no client can be given up."""

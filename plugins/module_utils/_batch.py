"""The same work on many devices at once, one result per device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences, render_diff
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import explain

#: More threads do not make the Engine faster (measured), they only make it queue.
THREADS = 4


class DeviceFailedError(FedsimError):
    """Work on one device failed; the text says why."""

    exit = Exit.PROVISIONING


def each_device(names: Iterable[str], work: Callable[[str, Differences], None]) -> dict[str, dict[str, Any]]:
    """Call ``work(name, differences)`` for every name in parallel; a failure ends only its own device."""

    def one(name: str) -> tuple[str, dict[str, Any]]:
        differences = Differences()
        message = None
        try:
            work(name, differences)
        except DeviceFailedError as error:
            message = str(error)
        except Exception as error:
            # The other devices of the batch must still be worked on and reported.
            message = explain(error)
        return name, {
            "changed": bool(differences) and message is None,
            "failed": message is not None,
            "msg": message,
            "diff": differences.items,
        }

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        return dict(pool.map(one, list(names)))


def finish(module: Any, results: dict[str, dict[str, Any]], header: str, **extra: Any) -> None:
    """End the module with one result per device, failing with the names of those that failed."""
    failed = sorted(name for name, result in results.items() if result["failed"])
    answer: dict[str, Any] = {
        "changed": any(result["changed"] for result in results.values()) or bool(extra.pop("changed", False)),
        "devices": results,
        "failed_devices": failed,
        **extra,
    }
    if module._diff:
        answer["diff"] = render_diff({name: result["diff"] for name, result in results.items()}, header)
    if failed:
        shown = "; ".join("{}: {}".format(name, results[name]["msg"]) for name in failed[:5])
        more = "" if len(failed) <= 5 else f"; and {len(failed) - 5} more"
        module.fail_json(msg=f"{len(failed)} of {len(results)} devices failed: {shown}{more}", **answer)
    module.exit_json(**answer)

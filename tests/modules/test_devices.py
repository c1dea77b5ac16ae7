"""fedsim_devices on a real Engine: limits are read from the cgroup files, isolation is tested by trial."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsim_runner.catalog.engines import engine_facts
from fedsim_runner.contract.cpu_limit import limit_to

from .conftest import Lab, device, load_utils, make_state

pytestmark = pytest.mark.docker
NAMES = {"server", "pi-1", "pi-2"}


def cgroup_value(container: object, controller: str, name_v1: str, name_v2: str) -> str:
    """Read a limit from the kernel, for both versions of cgroups."""
    pid = container.attrs["State"]["Pid"]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return (Path("/sys/fs/cgroup") / controller / path.lstrip("/") / name_v1).read_text().strip()
    path = Path(f"/proc/{pid}/cgroup").read_text().strip().split(":", 2)[2]
    return (Path("/sys/fs/cgroup") / path.lstrip("/") / name_v2).read_text().strip()


def read_cpu_limit(container: object) -> tuple[int, int]:
    """Read quota and period from the kernel, in microseconds."""
    quota = cgroup_value(container, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0]
    period = cgroup_value(container, "cpu", "cpu.cfs_period_us", "cpu.max").split()[-1]
    return int(quota), int(period)


def limited(name: str, cpus: float) -> tuple[int, int]:
    """A device's quota and period as they are to be, in microseconds."""
    limit = limit_to(cpus, device=name)
    return limit.quota_us, limit.period_us


def test_apply_again_change_absent_twice(lab: Lab) -> None:
    make_state(lab)
    lab.call("fedsim_network")
    checked = lab.call("fedsim_devices", check=True)
    assert checked.changed
    assert lab.names() == [f"fedsim-{lab.run}--network"]
    first = lab.call("fedsim_devices")
    assert first["diff"] == checked["diff"]
    assert set(first["devices"]) == NAMES
    assert all(result["changed"] for result in first["devices"].values())
    assert not lab.call("fedsim_devices").changed

    lab.content["devices"][1]["memory_bytes"] = 48 * 1024**2
    lab.write()
    checked = lab.call("fedsim_devices", check=True)
    assert checked.items("pi-1") == ["Memory", "MemorySwap"]
    before = lab.container("server").id
    changed = lab.call("fedsim_devices")
    assert changed["diff"] == checked["diff"]
    assert [name for name, result in changed["devices"].items() if result["changed"]] == ["pi-1"]
    assert lab.container("server").id == before
    assert lab.container("pi-1").attrs["HostConfig"]["Memory"] == 48 * 1024**2

    assert lab.call("fedsim_devices", state="absent", check=True).changed
    assert set(lab.call("fedsim_devices", state="absent")["devices"]) == NAMES
    assert not lab.call("fedsim_devices", state="absent").changed


@pytest.mark.parametrize(
    ("change", "items"),
    [
        ({"cpus": 0.2}, {"CpuQuota"}),
        ({"cpus": 0.001, "pids": 40}, {"CpuPeriod", "CpuQuota", "PidsLimit"}),
        ({"pids": 40}, {"PidsLimit"}),
        ({"threads": 2}, {"Env"}),
        # With torch and gRPC this engine has more threads than the light one.
        ({"engine": "federatedscope", "least_pids": 99}, {"Cmd", "PidsLimit"}),
    ],
)
def test_the_diff_names_the_option(up: Lab, change: dict[str, object], items: set[str]) -> None:
    up.content["devices"][2].update(change)
    up.write()
    checked = up.call("fedsim_devices", check=True)
    changed = up.call("fedsim_devices")
    assert set(changed.items("pi-2")) == items
    assert changed["diff"] == checked["diff"]
    assert not up.call("fedsim_devices").changed


def test_a_change_from_outside_is_seen(up: Lab) -> None:
    up.container("pi-1").update(mem_limit=24 * 1024**2, memswap_limit=24 * 1024**2)
    assert up.call("fedsim_devices").items("pi-1") == ["Memory", "MemorySwap"]
    assert not up.call("fedsim_devices").changed


@pytest.mark.parametrize(
    "before",
    [
        {"cpu_period": 50_000},
        # As after a call that was killed between start and update.
        {"cpu_period": 100_000, "cpu_quota": -1, "cpu_shares": 128},
    ],
    ids=["from outside", "not yet limited"],
)
def test_a_cpu_limit_alone_is_restored_while_the_device_runs(up: Lab, before: dict[str, int]) -> None:
    container = up.container("pi-1")
    up.engine.api.update_container(container.id, **before)
    checked = up.call("fedsim_devices", check=True)
    changed = up.call("fedsim_devices")
    assert changed["diff"] == checked["diff"]
    assert set(changed.items("pi-1")) <= {"CpuPeriod", "CpuQuota", "CpuShares"}
    assert len(changed.items("pi-1")) == len(before)
    after = up.container("pi-1")
    assert (after.id, after.attrs["State"]["Pid"]) == (container.id, container.attrs["State"]["Pid"])
    assert read_cpu_limit(after) == limited("pi-1", 0.1)
    assert not up.call("fedsim_devices").changed


def test_a_restarted_device_has_its_cpu_limit(up: Lab) -> None:
    up.container("pi-1").restart(timeout=0)
    assert read_cpu_limit(up.container("pi-1")) == limited("pi-1", 0.1)
    assert not up.call("fedsim_devices").changed


@pytest.mark.parametrize("cpus", [0.25, 0.001])
def test_cpu_limits_are_in_force_and_the_others_stay(lab: Lab, cpus: float) -> None:
    make_state(lab)
    lab.call("fedsim_network")
    lab.content["devices"][1].update(cpus=cpus, memory_bytes=40 * 1024**2, pids=20, write_bps=1024**2)
    lab.write()
    lab.call("fedsim_devices")
    container = lab.container("pi-1")
    assert read_cpu_limit(container) == limited("pi-1", cpus)
    # The Engine's update call must not take these away.
    assert cgroup_value(container, "memory", "memory.limit_in_bytes", "memory.max") == str(40 * 1024**2)
    assert cgroup_value(container, "pids", "pids.max", "pids.max") == "20"
    assert str(1024**2) in cgroup_value(container, "blkio", "blkio.throttle.write_bps_device", "io.max")
    assert not lab.call("fedsim_devices").changed


def test_devices_have_the_congestion_control_that_was_asked_for(up: Lab) -> None:
    up.content["congestion_control"] = "reno"  # every kernel allows it
    up.write()
    checked = up.call("fedsim_devices", check=True)
    assert up.call("fedsim_devices")["diff"] == checked["diff"]
    found = up.container("pi-1").exec_run(["cat", "/proc/sys/net/ipv4/tcp_congestion_control"]).output.decode()
    assert found.strip() == "reno"
    assert not up.call("fedsim_devices").changed


def test_new_inputs_make_a_new_container(up: Lab) -> None:
    make_state(up, {"devices/pi-1/in/config.yaml": b"seed: 2\n"})
    answer = up.call("fedsim_devices")
    assert [name for name, result in answer["devices"].items() if result["changed"]] == ["pi-1"]


def test_a_device_is_unprivileged_and_writes_only_to_its_out_folder(up: Lab) -> None:
    container = up.container("pi-1")
    assert container.exec_run(["id", "-u"]).output.decode().split() == [str(up.users["pi-1"])]
    assert container.exec_run(["id", "-G"]).output.decode().split() == [str(up.users["pi-1"])]
    status = container.exec_run(["cat", "/proc/self/status"]).output.decode()
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert container.exec_run(["touch", "/fedsim/out/log"]).exit_code == 0
    assert (up.state_dir / "devices" / "pi-1" / "out" / "log").stat().st_uid == up.users["pi-1"]
    for place in ("/file", "/fedsim/in/file", "/fedsim/gate/open"):
        assert container.exec_run(["touch", place]).exit_code != 0


def test_a_device_reaches_the_others_but_not_the_host(up: Lab, host_listener: int) -> None:
    up.connect()
    client, server = up.container("pi-1"), up.container("server")
    server.exec_run(["nc", "-ll", "-p", "5000", "-e", "/bin/true"], detach=True)
    assert eventually(lambda: client.exec_run(["nc", "-w", "2", "server", "5000"]).exit_code == 0)
    hosts = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    for address in (host for host in hosts if ":" not in host):
        assert client.exec_run(["nc", "-w", "1", address, str(host_listener)]).exit_code != 0, address


def test_names_and_labels(up: Lab) -> None:
    container = up.container("pi-1")
    assert container.labels["org.fedsim.device"] == "pi-1"
    assert container.labels["org.fedsim.kind"] == "device"
    assert container.labels["org.fedsim.lab_host"] == "local"
    assert container.labels["org.fedsim.state"] == str(up.state_dir)
    assert container.attrs["Config"]["Hostname"] == "pi-1"
    addresses = {entry["name"]: entry["address"] for entry in up.content["devices"]}

    def known(device: str) -> set[str]:
        """Devices that a device finds by their names."""
        lines = up.container(device).exec_run(["cat", "/etc/hosts"]).output.decode().split("\n")
        return {name for name, address in addresses.items() if f"{address}\t{name}" in lines}

    assert known("server") == {"server", "pi-1", "pi-2"}
    assert known("pi-1") == {"server", "pi-1"}


def test_half_made_state_is_completed(up: Lab) -> None:
    up.container("pi-1").remove(force=True)
    up.container("pi-2").stop(timeout=0)
    up.call("fedsim_devices", state="absent", devices="server")
    up.call("fedsim_devices", state="present", devices="server")
    assert up.container("server").status == "created"
    answer = up.call("fedsim_devices")
    assert {name: answer["devices"][name]["diff"][0]["before"] for name in NAMES} == {
        "server": "created",
        "pi-1": "absent",
        "pi-2": "exited",
    }
    assert not up.call("fedsim_devices").changed


def test_an_ended_device_starts_again_with_an_empty_out_folder(up: Lab) -> None:
    up.container("pi-1").exec_run(["touch", "/fedsim/out/log"])
    up.container("pi-1").stop(timeout=0)
    up.call("fedsim_devices")
    out = up.state_dir / "devices" / "pi-1" / "out"
    assert list(out.iterdir()) == []
    assert out.stat().st_uid == up.users["pi-1"]


def test_pattern_narrows_and_superfluous_devices_are_removed_only_without_it(up: Lab) -> None:
    up.content["devices"].pop()
    up.content["clients"].remove("pi-2")
    up.write()
    assert set(up.call("fedsim_devices", devices="pi-*")["devices"]) == {"pi-1"}
    assert f"fedsim-{up.run}.pi-2" in up.names()
    answer = up.call("fedsim_devices")
    assert answer["devices"]["pi-2"]["diff"] == [{"item": "state", "before": "present", "after": "absent"}]
    assert f"fedsim-{up.run}.pi-2" not in up.names()
    assert "matches no device" in up.call("fedsim_devices", devices="phone-*", expect_failure=True).msg


def test_what_goes_goes_before_what_comes(up: Lab) -> None:
    """Renamed, so that one has the address that the other had."""
    up.content["devices"][2]["name"] = up.content["clients"][1] = "pie"
    make_state(up)
    began = time.time()
    assert up.call("fedsim_devices").changed
    now = time.time()
    assert {path.name for path in (up.state_dir / "devices").iterdir()} == {"server", "pi-1", "pie"}
    filters = {"label": f"org.fedsim.run={up.run}", "event": ["create", "destroy"]}
    seen = up.engine.events(since=f"{began:.6f}", until=f"{now:.6f}", filters=filters, decode=True)
    order = [(event["Action"], event["Actor"]["Attributes"]["org.fedsim.device"]) for event in seen]
    # The server knows all devices by their names, so it is another container, too.
    assert order[0] == ("destroy", "pi-2")
    assert {("destroy", "server"), ("create", "server"), ("create", "pie")} == set(order[1:])


def test_failures_name_their_devices_and_spare_the_others(lab: Lab) -> None:
    make_state(lab)
    lab.call("fedsim_network")
    lab.content["devices"][1]["image"] = "unknown-light"
    lab.content["devices"][2]["gpus"] = 1
    lab.write()
    answer = lab.call("fedsim_devices", expect_failure=True)
    assert answer["failed_devices"] == ["pi-1", "pi-2"]
    assert "pi-1: image unknown-light has not been built (built: edge-light): run the images stage" in answer.msg
    assert lab.container("server").status == "running"


def test_a_missing_gpu_is_named(lab: Lab) -> None:
    make_state(lab)
    lab.call("fedsim_network")
    lab.content["devices"][1]["gpus"] = 1
    lab.write()
    answer = lab.call("fedsim_devices", expect_failure=True)
    assert answer["failed_devices"] == ["pi-1"]
    assert "pi-1: cannot be started: could not select device driver" in answer.msg


def test_a_device_that_ends_right_after_its_start_has_failed(lab: Lab) -> None:
    # Enough of them for a second round of the thread pool, by which time the first one has ended.
    lab.content["devices"] += [device(f"pi-{n}", "client", n, f"198.18.0.{n + 1}") for n in range(3, 13)]
    lab.content["devices"][0]["engine"] = "broken"
    lab.write()
    make_state(lab)
    lab.call("fedsim_network")
    answer = lab.call("fedsim_devices", expect_failure=True)
    assert answer["failed_devices"] == ["server"]
    assert "server: ended right after its start: no such engine" in answer.msg


def eventually(condition: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_federatedscope_has_room_for_its_threads(lab: Lab) -> None:
    containers = load_utils("_device_container")
    entry = lab.content["devices"][1]
    assert containers.compute_pids_limit(entry) == 32
    least = engine_facts("federatedscope").least_pids(50)
    assert containers.compute_pids_limit(entry | {"least_pids": least}) == 146
    assert containers.compute_pids_limit(entry | {"least_pids": least, "pids": 1024}) == 1024

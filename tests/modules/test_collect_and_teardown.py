"""fedsim_state, fedsim_collect, fedsim_unpack, fedsim_teardown on a real Engine."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from .conftest import Lab, call_module, make_state

pytestmark = pytest.mark.docker


def unpack(lab: Lab, dest: Path, **options: bool) -> list[str]:
    packed = str(lab.root / "collected.tar")
    lab.call("fedsim_collect", dest=packed)
    return list(call_module("fedsim_unpack", {"src": packed, "dest": str(dest)}, **options)["written"])


def test_state_apply_again_change(lab: Lab) -> None:
    first = make_state(lab)
    assert first.changed
    out = lab.state_dir / "devices" / "pi-1" / "out"
    assert (out.stat().st_uid, out.stat().st_gid) == (lab.users["pi-1"], lab.users["pi-1"])
    assert not make_state(lab).changed
    stray = lab.state_dir / "devices" / "pi-1" / "in" / "old.yaml"
    stray.write_text("old")
    out.chmod(0o755)
    (lab.state_dir / "devices" / "pi-2" / "in" / "config.yaml").chmod(0o644)
    changed = make_state(lab, {"devices/pi-1/in/config.yaml": b"seed: 22\n"})
    assert changed["written"] == [
        "devices/pi-1/in/config.yaml",
        "devices/pi-2/in/config.yaml",
        "devices/pi-1/in/old.yaml",
    ]
    assert not stray.exists()
    assert mode(out) == 0o700
    assert f"{out} mode" in changed["diff"]["before"]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_root_and_the_device_itself_may_read_its_files(up: Lab, tmp_path: Path) -> None:
    """What everybody may read is the gate, through which all devices go, and which Engine carries the run."""
    (up.state_dir / "gate" / "open").write_text("{}")
    up.container("pi-1").exec_run(["sh", "-c", "echo mine > /fedsim/out/log"])
    packed = up.state_dir / "collected.tar"
    up.call("fedsim_collect", dest=str(packed))
    found = [path for path in up.state_dir.rglob("*") if not path.is_symlink()]
    assert {packed, up.state_dir / "devices" / "pi-1" / "out" / "log"} <= set(found)
    reachable = {
        path for path in found if all(mode(above) & 0o001 for above in path.parents if up.root in above.parents)
    }
    for_all = {str(path.relative_to(up.state_dir)) for path in reachable if mode(path) & 0o006}
    assert for_all == {"gate", "gate/open", "engine"}
    outputs = [up.state_dir / "devices" / device / "out" for device in ("server", "pi-1", "pi-2")]
    assert [mode(out) for out in outputs] == [0o700] * 3
    inside = {path for out in outputs for path in out.rglob("*")}
    readers = {path: path.stat().st_gid for path in set(found) - inside if mode(path) & 0o060}
    users = {device: user for device, user in up.users.items() if not device.startswith("-")}
    assert readers == {
        path: user
        for device, user in users.items()
        for folder in [up.state_dir / "devices" / device / "in"]
        for path in (folder, folder / "config.yaml")
    } | dict.fromkeys((up.state_dir / name for name in for_all), 0)


def test_state_refuses_paths_that_climb_out(lab: Lab) -> None:
    archive = lab.root / "evil.tar"
    with tarfile.open(archive, "w") as packed:
        member = tarfile.TarInfo("devices/../../../evil")
        packed.addfile(member, io.BytesIO(b""))
    assert "outside the folder" in lab.call("fedsim_state", expect_failure=True, archive=str(archive)).msg


def test_collect_and_unpack(up: Lab, tmp_path: Path) -> None:
    (up.state_dir / "agent" / "journal.jsonl").write_text('{"event": "agent_started"}\n')
    out = up.state_dir / "devices" / "pi-1" / "out"
    (out / "course").mkdir()
    (out / "course" / "exp_print.log").write_text("round 1\n")
    (out / "tmp").mkdir()
    (out / "tmp" / "scratch").write_text("not collected")
    for name in ("pi-1", "pi-2", "server"):
        up.container(name).kill()
    dest = tmp_path / "run"
    packed = str(up.root / "collected.tar")
    assert up.call("fedsim_collect", check=True, dest=packed).changed
    assert not Path(packed).exists()
    assert set(unpack(up, dest)) == {
        "agent.log",
        "collected/pi-1/console.log",
        "collected/pi-1/course/exp_print.log",
        "collected/pi-2/console.log",
        "collected/server/console.log",
        "containers.json",
        "device_file.json",
        "journal.jsonl",
        "left_out.json",
    }
    assert (dest / "collected/pi-1/console.log").read_text() == "waiting at the gate\n"
    facts = json.loads((dest / "containers.json").read_text())
    assert facts["pi-1"]["exit_code"] == 137
    assert facts["pi-1"]["oom_killed"] is False
    assert not up.call("fedsim_collect", dest=packed).changed
    assert unpack(up, dest) == []


def test_collect_finds_space_elsewhere_when_the_disk_is_full(up: Lab) -> None:
    out = up.state_dir / "devices" / "pi-1" / "out"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "fedsim-test", up.root], check=True)
    try:
        (up.root / "full").write_bytes(bytes(60 * 1024))
        answer = up.call("fedsim_collect", dest=str(up.root / "collected.tar"))
        assert not (up.root / "collected.tar").exists()
        assert not (up.root / "collected.tar.new").exists()
        elsewhere = Path(answer["dest"])
        assert elsewhere.parent.parent == Path("/var/tmp")
        with tarfile.open(elsewhere) as packed:
            assert "containers.json" in packed.getnames()
        shutil.rmtree(elsewhere.parent)
    finally:
        subprocess.run(["umount", up.root], check=True)
    assert out.is_dir()


def test_collect_follows_no_link_of_a_device(up: Lab, tmp_path: Path) -> None:
    out = up.state_dir / "devices" / "pi-1" / "out"
    (out / "passwd").symlink_to("/etc/passwd")
    (out / "etc").symlink_to("/etc")
    os.mkfifo(out / "pipe")
    written = unpack(up, tmp_path / "run")
    assert not [name for name in written if "passwd" in name or "etc" in name or "pipe" in name]
    left_out = up.call("fedsim_collect", dest=str(up.root / "collected.tar"))["left_out"]
    assert {entry.split(":")[0] for entry in left_out} >= {"collected/pi-1/passwd", "collected/pi-1/pipe"}


def test_collect_leaves_out_what_a_device_should_not_have_made(up: Lab, tmp_path: Path) -> None:
    out = up.state_dir / "devices" / "pi-1" / "out"
    (out / "exit.json").write_text("{}")
    (out / "console.log").mkdir()
    (out / "console.log" / "in-the-way").write_text("x")
    (out / os.fsdecode(b"\xff.log")).write_text("x")
    (out / os.fsdecode(b"\xff.link")).symlink_to("/etc/passwd")
    folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=folder)
        outer, folder = folder, os.open("deep", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        os.close(outer)
    os.close(folder)
    try:
        written = unpack(up, tmp_path / "run")
        left_out = up.call("fedsim_collect", dest=str(up.root / "collected.tar"))["left_out"]
    finally:
        subprocess.run(["rm", "-rf", out / "deep"], check=True)
    assert {"collected/pi-1/exit.json", "collected/pi-1/console.log", "containers.json"} <= set(written)
    assert (tmp_path / "run" / "collected" / "pi-1" / "console.log").read_text() == "waiting at the gate\n"
    assert "collected/pi-1/console.log: the console's log has this name" in left_out
    assert any(entry.endswith("deep: more than 20 folders deep") for entry in left_out)
    assert "collected/pi-1/?.link: the name is not UTF-8" in left_out


def test_collect_of_half_made_runs(lab: Lab, tmp_path: Path) -> None:
    assert unpack(lab, tmp_path / "run") == ["device_file.json", "containers.json", "left_out.json"]
    make_state(lab)
    lab.call("fedsim_network")
    lab.call("fedsim_devices", state="present")
    assert unpack(lab, tmp_path / "run") == ["containers.json"]
    assert json.loads((tmp_path / "run" / "containers.json").read_text())["pi-1"]["status"] == "created"


@pytest.mark.parametrize("kind", ["climbs", "absolute", "link"])
def test_unpack_writes_nothing_outside(tmp_path: Path, kind: str) -> None:
    packed = tmp_path / "evil.tar"
    with tarfile.open(packed, "w") as archive:
        member = tarfile.TarInfo({"climbs": "a/../../evil", "absolute": "/evil", "link": "evil"}[kind])
        if kind == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member, io.BytesIO(b""))
    arguments = {"src": str(packed), "dest": str(tmp_path / "run")}
    assert "is not unpacked" in call_module("fedsim_unpack", arguments, expect_failure=True).msg


def test_unpack_goes_through_no_link_in_the_run_folder(tmp_path: Path) -> None:
    packed, dest = tmp_path / "ok.tar", tmp_path / "run"
    dest.mkdir()
    (dest / "collected").symlink_to(tmp_path)
    with tarfile.open(packed, "w") as archive:
        archive.addfile(tarfile.TarInfo("collected/file"), io.BytesIO(b""))
    arguments = {"src": str(packed), "dest": str(dest)}
    assert "through a link" in call_module("fedsim_unpack", arguments, expect_failure=True).msg
    assert not (tmp_path / "file").exists()


def test_teardown_twice(up: Lab) -> None:
    stranger = up.engine.containers.create(up.image, ["true"], name=f"fedsim-{up.run}-stranger")
    try:
        before = up.names()
        checked = up.call("fedsim_teardown", check=True)
        assert checked.changed
        assert up.names() == before
        answer = up.call("fedsim_teardown")
        assert answer["removed"] == checked["removed"]
        assert answer["diff"] == checked["diff"]
        assert answer["removed"]["state"] == [str(up.state_dir)]
        assert up.names() == []
        assert not up.state_dir.exists()
        assert not up.call("fedsim_teardown").changed
        stranger.reload()
    finally:
        stranger.remove()


def test_teardown_needs_no_device_file_and_removes_only_its_run(up: Lab) -> None:
    up.device_file.unlink()
    other = f"{up.run}-x"
    up.engine.networks.create(f"fedsim-{other}", labels={"org.fedsim.run": other})
    try:
        up.container("pi-1").kill()
        up.call("fedsim_teardown")
        assert up.engine.networks.list(names=[f"fedsim-{other}"])
    finally:
        up.call("fedsim_teardown", run=other)
    assert not up.engine.networks.list(names=[f"fedsim-{other}"])


def test_teardown_refuses_a_path_as_run_id(lab: Lab) -> None:
    for run in ("..", "a/b", ""):
        assert "is not a run id" in lab.call("fedsim_teardown", expect_failure=True, run=run).msg


def test_teardown_of_a_run_of_an_older_version(lab: Lab) -> None:
    """Up to 0.1.0 a run had a Docker network; a stranger may have joined it."""
    make_state(lab)
    name = f"fedsim-{lab.run}"
    labels = {"org.fedsim.run": lab.run, "org.fedsim.kind": "network"}
    lab.engine.networks.create(name, internal=True, labels=labels)
    labels = {**labels, "org.fedsim.kind": "device"}
    device = lab.engine.containers.run(lab.image, ["sleep", "60"], detach=True, network=name, labels=labels)
    stranger = lab.engine.containers.run(lab.image, ["sleep", "60"], detach=True, network=name)
    try:
        answer = lab.call("fedsim_teardown")
        assert answer["removed"]["networks"] == [name]
        assert answer["removed"]["containers"] == [device.name]
        assert lab.names() == []
    finally:
        stranger.remove(force=True)

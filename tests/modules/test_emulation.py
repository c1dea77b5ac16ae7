"""A device of another architecture on a real Engine: qemu-user runs it, and its image is known as what it is."""

from __future__ import annotations

import io
import os
import platform
import struct
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from fedsim_runner.contract.emulation import find_interpreter
from fedsim_runner.contract.host_capacity import architecture

from .conftest import Lab, call_module, device, load_utils, make_state

pytestmark = pytest.mark.docker

# A program that prints the machine which its kernel says it runs on, and waits: uname, write, ppoll for ever.
ARM64_PROGRAM = (
    0xD10643FF, 0x910003E0, 0xD2801408, 0xD4000001,  # sub sp, sp, #400; mov x0, sp; mov x8, #160; svc #0
    0x52800143, 0x39042FE3,                          # mov w3, #10; strb w3, [sp, #267]: a line end after "aarch64"
    0xD2800020, 0x910413E1, 0xD2800102, 0xD2800808,  # mov x0, #1; add x1, sp, #260; mov x2, #8; mov x8, #64
    0xD4000001, 0xD2800000, 0xD2800001, 0xD2800002,  # svc #0; mov x0, #0; mov x1, #0; mov x2, #0
    0xD2800003, 0xD2800928, 0xD4000001, 0x17FFFFFA,  # mov x3, #0; mov x8, #73; svc #0; b -6
)  # fmt: skip
LOAD_AT = 0x400000


def arm64_elf() -> bytes:
    """The program in an ELF file with one segment."""
    code = b"".join(struct.pack("<I", word) for word in ARM64_PROGRAM)
    size = 64 + 56 + len(code)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 0xB7, 1, LOAD_AT + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, LOAD_AT, LOAD_AT, size, size, 0x10000)
    return header + segment + code


@pytest.fixture
def arm64_image(engine: docker.DockerClient, tmp_path: Path) -> Iterator[str]:
    """A root file system with that program, loaded as the images role loads a Debian bootstrap."""
    rootfs = tmp_path / "rootfs.tar"
    with tarfile.open(rootfs, "w") as archive:
        program = tarfile.TarInfo("usr/bin/python3")
        program.size, program.mode = len(arm64_elf()), 0o755
        archive.addfile(program, io.BytesIO(arm64_elf()))
        for name in ("tmp", "proc", "sys", "dev", "etc", "fedsim/gate", "fedsim/in", "fedsim/out"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
    found = load_utils("_rootfs_image").load_rootfs(engine.api, rootfs, "arm64")
    name = f"fedsim-test/arm64:{os.getpid()}"
    engine.api.tag(found, *name.split(":"))
    yield name
    engine.images.remove(name, force=True)


@pytest.mark.skipif(architecture(platform.machine()) == "arm64", reason="arm64 programs are this machine's own")
def test_a_device_of_another_architecture_runs_under_qemu_user(lab: Lab, arm64_image: str) -> None:
    # What the role lab_host does; it needs the package qemu-user-static, which scripts/bootstrap --dev installs.
    assert call_module("fedsim_emulation", {"architectures": ["arm64"]})["installed"]
    assert find_interpreter("arm64") is not None
    again = call_module("fedsim_emulation", {"architectures": ["arm64", "amd64"]})
    assert not again.changed and again["foreign"] == ["arm64"]

    demands = {"devices": 3, "memory_bytes": 1, "gpus": 0, "arch": ["amd64"], "emulated": ["arm64"]}
    probe = call_module("fedsim_lab_host", {"demands": demands, "trials": False, "state_root": str(lab.root)})
    assert probe["emulation_wanted"] == [] and "arm64" in probe["lab_host"]["emulates"]

    pi = device("pi-1", "client", 1, "198.18.0.2", arch="arm64", image="pi-light", emulated=True)
    lab.content["devices"][1] = pi
    make_state(lab)
    lab.call("fedsim_network")
    images = {"edge-light": lab.image, "pi-light": arm64_image}
    lab.call("fedsim_devices", images=images)
    container = lab.container("pi-1")
    assert lab.engine.images.get(container.attrs["Image"]).attrs["Architecture"] == "arm64"
    deadline = time.monotonic() + 20
    while not container.logs() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert container.logs() == b"aarch64\n"
    assert not lab.call("fedsim_devices", images=images).changed

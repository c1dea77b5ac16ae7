"""How the control node gets into the lab hosts: keys, known hosts, and an ordinary Ansible inventory."""

from __future__ import annotations

import io
import secrets
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from .program import call

User = Literal["root", "ops", "alice"]
HOMES = {"root": "/root", "ops": "/home/ops", "alice": "/home/alice"}


@dataclass(frozen=True)
class Access:
    """The files in the lab's folder that a user of the lab has.

    Attributes:
        folder: where they are.
    """

    folder: Path

    @property
    def key(self) -> Path:
        """The private key that all lab hosts let in."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def password_file(self) -> Path:
        """What sudo asks ``alice`` for."""
        return self.folder / "sudo-password"

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory"

    @property
    def ssh_options(self) -> tuple[str, ...]:
        return "-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "StrictHostKeyChecking=yes"

    def prepare(self, addresses: Mapping[str, str]) -> dict[str, bytes]:
        """Make the keys; return for each lab host what belongs into its root file system, as a tar file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _make_key(self.key)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(secrets.token_hex(8) + "\n")
        lines, packed = [], {}
        for name, address in addresses.items():
            host_key = self.folder / f"host_key_{name}"
            _make_key(host_key)
            public = host_key.with_suffix(".pub").read_text()
            lines.append(f"{address} {' '.join(public.split()[:2])}\n")
            packed[name] = _pack(host_key.read_bytes(), public.encode(), self.key.with_suffix(".pub").read_bytes())
        self.known_hosts.write_text("".join(lines))
        return packed

    def write_inventory(self, addresses: Mapping[str, str], user: User, variables: Mapping[str, Any]) -> Path:
        """An inventory folder of the lab hosts, to which ``user`` logs in; return its path.

        Args:
            variables: further variables of all lab hosts.
        """
        content = {
            "lab_hosts": {
                "hosts": {name: {"ansible_host": address} for name, address in addresses.items()},
                "vars": {
                    "ansible_user": user,
                    "ansible_ssh_private_key_file": str(self.key),
                    "ansible_ssh_common_args": " ".join(self.ssh_options),
                    **({} if user == "root" else {"ansible_become": True}),
                    **variables,
                },
            }
        }
        self.inventory.mkdir(exist_ok=True)
        (self.inventory / "hosts.yml").write_text(yaml.safe_dump(content, sort_keys=False))
        return self.inventory


def _make_key(path: Path) -> None:
    call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)])


def _pack(host_key: bytes, public: bytes, authorized: bytes) -> bytes:
    """A tar file with a lab host's own key, and the key that each of its users lets in."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        _add(archive, "etc/ssh/ssh_host_ed25519_key", host_key, 0o600)
        _add(archive, "etc/ssh/ssh_host_ed25519_key.pub", public, 0o644)
        for number, (user, home) in enumerate(HOMES.items()):
            # useradd numbers them from 1000 on, in this order.
            owner = 0 if user == "root" else 999 + number
            _add(archive, f"{home[1:]}/.ssh/authorized_keys", authorized, 0o600, owner)
    return target.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int, owner: int = 0) -> None:
    folder = tarfile.TarInfo(str(Path(name).parent))
    if folder.name.endswith(".ssh"):
        folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o700, owner, owner
        archive.addfile(folder)
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.uid, member.gid = len(content), mode, owner, owner
    archive.addfile(member, io.BytesIO(content))

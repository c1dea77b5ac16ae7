"""What opens lab hosts, as Ansible's options: no password is among their words or in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.lab.access import LabKeys, VaultSecret
from fedsim_runner.testbed.docker.key_options import key_options


def test_passwords_that_were_typed_can_be_read_once(tmp_path: Path) -> None:
    keys = LabKeys(become_password="hidden", vault=(VaultSecret("prod", text="locked"), VaultSecret(file=Path("/f"))))
    with key_options(keys, tmp_path) as words:
        assert not {"hidden", "locked"} & set(" ".join(words).split())
        assert words[0::2] == ["--become-password-file", "--vault-id", "--vault-id"]
        assert words[5] == "default@/f"
        label, _, path = words[3].partition("@")
        assert (label, Path(path).read_text(encoding="utf-8")) == ("prod", "locked\n")
        assert Path(words[1]).is_fifo()
        assert Path(words[1]).read_text(encoding="utf-8") == "hidden\n"


def test_a_password_that_ansible_does_not_ask_for_is_not_left_waiting(tmp_path: Path) -> None:
    with key_options(LabKeys(become_password="hidden"), tmp_path):
        pass


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (LabKeys(), []),
        (LabKeys(become_password_file=Path("/p")), ["--become-password-file", "/p"]),
        (LabKeys(private_key=Path("/k")), ["--private-key", "/k"]),
        (LabKeys(ssh_common_args="-J gate"), ["--ssh-common-args=-J gate"]),
    ],
)
def test_files_and_arguments_are_passed_on(keys: LabKeys, words: list[str], tmp_path: Path) -> None:
    with key_options(keys, tmp_path) as given:
        assert given == words

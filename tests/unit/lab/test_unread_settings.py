"""Settings of Ansible outside the inventory are named with what to say instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.lab.unread_settings import describe_unread, describe_unread_here

CONFIG = """\
[defaults]
remote_user = ops ; as everywhere
strategy = mitogen_linear
fact_caching = jsonfile
[ssh_connection]
ssh_args = -o ProxyJump=gate
"""


def test_what_would_count_for_ansible_is_named(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "folder"
    for path in (home, folder):
        path.mkdir()
    assert describe_unread({"ANSIBLE_STRATEGY": "mitogen_linear"}, folder, home) is None
    (home / ".ansible.cfg").write_text("[privilege_escalation]\nbecome_ask_pass = yes\n", encoding="utf-8")
    assert str(describe_unread({}, folder, home)).endswith(f": become_ask_pass of {home}/.ansible.cfg (say it with -K)")
    path = folder / "ansible.cfg"
    path.write_text(CONFIG, encoding="utf-8")
    assert describe_unread({"ANSIBLE_REMOTE_PORT": "2222"}, folder, home) == (
        "Ansible's own settings do not count here: ANSIBLE_REMOTE_PORT (say it with ansible_port in the inventory); "
        f"remote_user of {path} (say it with ansible_user in the inventory); "
        f"ssh_args of {path} (say it with ansible_ssh_args in the inventory)"
    )


def test_a_file_that_is_named_counts_instead(tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text(CONFIG, encoding="utf-8")
    named = tmp_path / "other.cfg"
    named.write_text("[defaults]\nhost_key_checking = False\n", encoding="utf-8")
    text = str(describe_unread({"ANSIBLE_CONFIG": str(named)}, tmp_path, tmp_path))
    assert f"host_key_checking of {named}" in text
    assert "remote_user" not in text


def test_our_own_file_counts(repository: Path, tmp_path: Path) -> None:
    assert describe_unread({}, repository, tmp_path) is None


def test_a_damaged_file_is_left_to_ansible(tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("remote_user = ops\n", encoding="utf-8")
    assert describe_unread({}, tmp_path, tmp_path) is None


def test_where_there_is_no_home_no_current_folder_or_no_such_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise FileNotFoundError

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "cwd", missing)
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setenv("ANSIBLE_CONFIG", "~nobody-of-this-name/ansible.cfg")
    monkeypatch.setenv("ANSIBLE_REMOTE_PORT", "2222")
    assert "ANSIBLE_REMOTE_PORT (say it with ansible_port" in str(describe_unread_here())

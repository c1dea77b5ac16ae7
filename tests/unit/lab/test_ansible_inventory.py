"""Lab hosts from an Ansible inventory, and the mistakes in one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedsim_runner.contract.errors import Exit
from fedsim_runner.lab.access import LabAccess, LabKeys, VaultSecret
from fedsim_runner.lab.ansible_inventory import become_password_of, load_lab
from fedsim_runner.lab.host import LabHost
from fedsim_runner.lab.inventory_error import LabInventoryError
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.ansible

HOSTS = """\
lab_hosts:
  vars: {ansible_user: "{{ team }}", team: lab}
  hosts:
    two:
      ansible_host: 192.0.2.2
      ansible_port: 2222
      ansible_ssh_private_key_file: /keys/two
      ansible_ssh_common_args: -o ProxyJump=gate
    one: {ansible_host: 192.0.2.1, fedsim_labels: {site: north}, fedsim_cpus: 4, fedsim_memory: 8GB}
    here: {ansible_connection: local, fedsim_lab_address: 192.0.2.3, fedsim_processor: slow}
"""


def load(folder: Path, text: str, name: str = "hosts.yml") -> tuple[LabHost, ...]:
    (folder / name).write_text(text, encoding="utf-8")
    return load_lab(LabAccess(folder / name))


def mistakes_of(folder: Path, text: str) -> str:
    with pytest.raises(LabInventoryError) as refused:
        load(folder, text)
    assert refused.value.exit is Exit.SPEC
    return str(refused.value)


def test_hosts_as_the_inventory_describes_them(tmp_path: Path) -> None:
    here, one, two = load(tmp_path, HOSTS)
    assert (here.name, here.connection, here.ssh, here.lab_address) == ("here", "local", None, "192.0.2.3")
    assert (one.labels, one.cpus, one.memory_bytes) == ({"site": "north"}, 4, 8 * 2**30)
    assert (here.processor, one.processor) == ("slow", "")
    assert two.ssh is not None
    assert two.ssh.command(("-T",), "true") == [
        *("ssh", "-o", "ProxyJump=gate", "-o", "IdentityFile=/keys/two", "-T", "-p", "2222", "-l", "lab"),
        *("--", "192.0.2.2", "true"),
    ]


def test_an_ini_inventory_and_a_folder_with_group_variables(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "lab_hosts.yml").write_text("fedsim_labels: {site: south}\n", encoding="utf-8")
    (tmp_path / "hosts.ini").write_text("[lab_hosts]\none ansible_host=192.0.2.1 fedsim_cpus=2\n", encoding="utf-8")
    (one,) = load_lab(LabAccess(tmp_path))
    assert (one.address, one.cpus, one.labels) == ("192.0.2.1", 2, {"site": "south"})


def test_the_users_settings_of_ansible_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_INVENTORY_ENABLED", "nonsense")
    assert len(load(tmp_path, HOSTS)) == 3
    assert os.environ["ANSIBLE_INVENTORY_ENABLED"] == "nonsense"


def test_all_mistakes_are_named_together(tmp_path: Path) -> None:
    text = mistakes_of(
        tmp_path,
        "lab_hosts:\n  hosts:\n    one: {ansible_host: 192.0.2.1, fedsim_cpus: 0}\n"
        "    two: {ansible_host: 192.0.2.1, fedsim_lables: {}}\n    three: {ansible_connection: docker}\n",
    )
    path = tmp_path / "hosts.yml"
    assert f"{path}: host one: fedsim_cpus is 0" in text
    assert f'{path}: host two: unknown variable fedsim_lables (did you mean "fedsim_labels"?)' in text
    assert f"{path}: host three: ansible_connection is docker" in text
    assert f"{path}: hosts one and two are the same machine" in text
    assert f"4 mistakes in {path}" in text


def test_an_inventory_that_is_missing_empty_or_damaged(tmp_path: Path) -> None:
    assert "no host in the group lab_hosts" in mistakes_of(tmp_path, "all: {hosts: {one: }}\n")
    with pytest.raises(LabInventoryError, match="no such lab inventory"):
        load_lab(LabAccess(tmp_path / "missing"))


def test_the_password_for_sudo_comes_from_the_user_or_the_inventory(tmp_path: Path) -> None:
    load(tmp_path, "lab_hosts: {hosts: {one: {ansible_become_password: theirs}, two: {ansible_user: ann}}}\n")
    access = LabAccess(tmp_path / "hosts.yml")
    assert [become_password_of(access, name) for name in ("one", "two")] == ["theirs", None]
    assert become_password_of(LabAccess(access.inventory, LabKeys(become_password="mine")), "one") == "mine"
    (tmp_path / "password").write_text("filed\n", encoding="utf-8")
    assert become_password_of(LabAccess(None, LabKeys(become_password_file=tmp_path / "password")), "one") == "filed"


def test_a_vault_is_opened_only_where_its_content_is_asked_for(tmp_path: Path) -> None:
    from ansible.parsing.vault import VaultLib
    from ansible.parsing.vault import VaultSecret as Secret

    locked = VaultLib([("default", Secret(b"opensesame"))]).encrypt("hidden").decode()
    body = locked.replace("\n", "\n          ")
    text = f"lab_hosts:\n  hosts:\n    one:\n      ansible_become_password: !vault |\n          {body}\n"
    (one,) = load(tmp_path, text)
    assert one.name == "one"
    path = tmp_path / "hosts.yml"
    with pytest.raises(LabInventoryError, match="--vault-password-file or --vault-id"):
        become_password_of(LabAccess(path), "one")
    opened = LabAccess(path, LabKeys(vault=(VaultSecret(text="opensesame"),)))
    assert become_password_of(opened, "one") == "hidden"
    assert "opensesame" not in repr(opened)


def test_the_example_is_a_lab() -> None:
    hosts = load_lab(LabAccess(REPOSITORY / "inventories" / "lab"))
    assert [host.name for host in hosts] == ["north1", "north2", "south1"]
    assert hosts[1].labels == {"site": "north", "gpu": "a100"}


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("ansible_host: [192.0.2.1]", "ansible_host is ['192.0.2.1'], and must be one word"),
        ("ansible_host: '-oProxyCommand=x'", "ansible_host is '-oProxyCommand=x', and must be one word"),
        ("ansible_host: 10.10", "ansible_host is 10.1, a number: write it in quotes, or the whole address"),
        ("ansible_host: yes", "ansible_host is True, and must be one word"),
        ("ansible_user: two words", "ansible_user is 'two words', and must be one word"),
        (
            "ansible_ssh_private_key_file: ~no-such-user/key",
            "ansible_ssh_private_key_file is ~no-such-user/key, and there is",
        ),
        ('ansible_ssh_common_args: "-o \'x"', "ansible_ssh_common_args: No closing quotation"),
        ('ansible_ssh_args: "-o x\\0"', "ansible_ssh_args is '-o x\\x00', and must have no line ends"),
        ("fedsim_cpus: [2]", "fedsim_cpus is [2], and must be how many cpus"),
        ("fedsim_state_root: /", "fedsim_state_root is '/', and must be the path of a folder"),
    ],
)
def test_values_that_ssh_or_the_plays_cannot_have(tmp_path: Path, stated: str, message: str) -> None:
    assert f"hosts.yml: host one: {message}" in mistakes_of(tmp_path, f"lab_hosts: {{hosts: {{one: {{{stated}}}}}}}\n")


def test_all_that_is_wrong_with_a_host_is_named(tmp_path: Path) -> None:
    stated = (
        "ansible_port: 0, ansible_user: a b, ansible_ssh_args: \"'\", ansible_ssh_extra_args: '\"', ansible_host: {}"
    )
    text = mistakes_of(tmp_path, f"lab_hosts: {{hosts: {{one: {{{stated}}}}}}}\n")
    wrong = ("ansible_port", "ansible_ssh_args", "ansible_ssh_extra_args", "ansible_host", "ansible_user")
    assert [line.split(": host one: ")[1].split()[0].rstrip(":") for line in text.splitlines()[:-1]] == list(wrong)


def test_what_ansible_takes_for_no_is_no(tmp_path: Path) -> None:
    (one, two) = load(tmp_path, "[lab_hosts]\none ansible_become=off\ntwo ansible_become=on\n", "hosts.ini")
    assert [host.ssh and host.ssh.sudo for host in (one, two)] == [False, True]


@pytest.mark.parametrize("name", ["all", "devices", "lab_hosts", "x" * 201])
def test_names_that_no_lab_host_can_have(tmp_path: Path, name: str) -> None:
    assert "its name " in mistakes_of(tmp_path, f"lab_hosts: {{hosts: {{{name}: }}}}\n")


@pytest.mark.parametrize("name", ["exp.yaml", "exp.fedsim.yaml"])
def test_an_experiment_file_is_no_inventory(tmp_path: Path, name: str, repository: Path) -> None:
    text = (repository / "examples" / "quickstart.yaml").read_text(encoding="utf-8")
    with pytest.raises(LabInventoryError, match=rf"{name}: is an experiment file and no inventory of a lab"):
        load(tmp_path, text, name)
    assert list(tmp_path.iterdir()) == [tmp_path / name], "nothing is written beside it"


def test_an_experiment_file_among_those_of_an_inventory(tmp_path: Path, repository: Path) -> None:
    text = (repository / "examples" / "quickstart.yaml").read_text(encoding="utf-8")
    (tmp_path / "exp.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "hosts.ini").write_text("[lab_hosts]\none\n", encoding="utf-8")
    with pytest.raises(LabInventoryError, match=r"exp\.yaml: is an experiment file in the inventory"):
        load_lab(LabAccess(tmp_path))


def test_an_inventory_as_admins_have_it(tmp_path: Path) -> None:
    """Ranges, groups of groups, INI beside YAML, variables of groups, aliases."""
    (tmp_path / "01-machines").write_text(
        "[rack]\nnode[01:03] ansible_host=node.example.org\n[rack:vars]\nansible_user=ops\nansible_port=2200\n"
        "[switches]\nsw1 ansible_connection=network_cli\n",
        encoding="utf-8",
    )
    (tmp_path / "02-groups.yml").write_text(
        "all:\n  children:\n    lab_hosts:\n      children: {rack: }\n      hosts: {spare:2222: {ansible_user: root}}\n"
        "  vars: {ansible_python_interpreter: auto_legacy, ansible_become: yes}\n",
        encoding="utf-8",
    )
    (tmp_path / "host_vars").mkdir()
    for number in (1, 2, 3):
        (tmp_path / "host_vars" / f"node0{number}.yml").write_text(
            f"ansible_host: 192.0.2.{number}\n", encoding="utf-8"
        )
    hosts = load_lab(LabAccess(tmp_path))
    reached = {host.name: (host.ssh.address, host.ssh.user, host.ssh.port) for host in hosts if host.ssh}
    assert reached["spare"] == ("spare", "root", 2222)
    assert sorted(reached) == ["node01", "node02", "node03", "spare"]
    assert {reached[f"node0{number}"] for number in (1, 2, 3)} == {
        (f"192.0.2.{number}", "ops", 2200) for number in (1, 2, 3)
    }
    assert all(host.ssh and host.ssh.interpreter == "python3" for host in hosts)


def test_a_program_may_be_the_inventory(tmp_path: Path) -> None:
    program = tmp_path / "cloud.py"
    program.write_text(
        "#!/bin/sh\n"
        """echo '{"lab_hosts": {"hosts": ["a"]}, "_meta": {"hostvars": {"a": {"ansible_host": "192.0.2.9"}}}}'\n""",
        encoding="utf-8",
    )
    program.chmod(0o755)
    (one,) = load_lab(LabAccess(program))
    assert (one.name, one.address) == ("a", "192.0.2.9")


def test_an_interpreter_is_one_path(tmp_path: Path) -> None:
    text = "lab_hosts: {hosts: {one: {ansible_python_interpreter: /usr/bin/env python3}}}\n"
    assert "ansible_python_interpreter is '/usr/bin/env python3', and must be one path" in mistakes_of(tmp_path, text)


def test_nothing_logs_in_with_a_password(tmp_path: Path) -> None:
    text = "lab_hosts: {hosts: {one: {ansible_ssh_pass: hidden, ansible_host: 192.0.2.1}}}\n"
    mistakes = mistakes_of(tmp_path, text)
    assert "host one: ansible_ssh_pass is set, and ssh logs in with keys only" in mistakes
    assert "hidden" not in mistakes


def test_groups_of_other_names_are_shown(tmp_path: Path) -> None:
    text = mistakes_of(tmp_path, "workers: {hosts: {one: }}\nempty:\n")
    assert "no host in the group lab_hosts; it has workers: add `lab_hosts: {children: {workers: }}`" in text


@pytest.mark.parametrize(
    ("variables", "mistake"),
    [
        ("ansible_become_method: su", "host one: ansible_become_method is su, and must be sudo"),
        ("ansible_become_user: docker", "host one: ansible_become_user is docker, and must be root"),
        ("ansible_become_method: su, ansible_become: false", None),
        ("ansible_become_method: ansible.builtin.sudo, ansible_become_user: root", None),
    ],
)
def test_only_sudo_leads_to_root(variables: str, mistake: str | None, tmp_path: Path) -> None:
    text = f"lab_hosts: {{hosts: {{one: {{{variables}}}}}}}\n"
    if mistake is None:
        assert load(tmp_path, text)
    else:
        assert mistake in mistakes_of(tmp_path, text)

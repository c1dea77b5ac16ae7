"""The lab hosts of an Ansible inventory: a file, a folder or a program, in every form that Ansible reads.

Ansible's own classes read it, so that groups, group_vars, templates and vaults mean what they mean in a play. This is
the only place of the command that imports Ansible, beside the one that explains its errors, and only for a lab.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from ..content import collections_path, content_root
from .access import LabAccess, LabKeys, VaultSecret
from .host import LabHost
from .inventory_error import DOCUMENTED, LabInventoryError, error_for
from .lab_variables import host_settings
from .ssh_variables import LOGIN_PASSWORDS, become_mistakes, password_mistakes, ssh_of
from .unparsed_inventory import unparsed_explained
from .unread_settings import describe_unread_here

GROUP: Final = "lab_hosts"
PASSWORDS: Final = ("ansible_become_password", "ansible_become_pass")
MOVE_IT: Final = "move it out of the folder"
# It becomes the name of a file, and a part of a group's name.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
# Ansible and our plays take these for groups.
_NO_NAMES: Final = frozenset({"all", "ungrouped", "devices", GROUP})
# Keys that every experiment file has and no inventory has.
_EXPERIMENT_KEYS: Final = (re.compile(r"^name:", re.MULTILINE), re.compile(r"^devices:", re.MULTILINE))


def load_lab(access: LabAccess) -> tuple[LabHost, ...]:
    """The lab hosts of an inventory as it describes them; none is contacted. Numbers that it does not state are 0.

    Raises:
        LabInventoryError: it cannot be read, or has mistakes.
    """
    path = access.inventory
    assert path is not None, "this machine alone has no inventory"
    if not path.exists():
        raise LabInventoryError(f"{path}: there is no such lab inventory", hint=DOCUMENTED)
    if _is_experiment(path):
        raise LabInventoryError(f"{path}: is an experiment file and no inventory of a lab", hint=DOCUMENTED)
    # Ansible would take it for groups of odd names, or make devices of it where our plugin is enabled.
    if (strange := next(filter(_is_experiment, _entries(path)), None)) is not None:
        raise LabInventoryError(f"{strange}: is an experiment file in the inventory of a lab", hint=MOVE_IT)
    variables, groups = _read(path, access.keys)
    if not variables:
        raise LabInventoryError(
            f"{path}: there is no host in the group {GROUP}{_other_groups(groups)}", hint=DOCUMENTED
        )
    hosts, mistakes = [], []
    for name, found in sorted(variables.items()):
        host, wrong = _lab_host(name, found, access.keys)
        hosts.append(host)
        mistakes += [f"{path}: host {name}: {what}" for what in wrong]
    mistakes += [f"{path}: {what}" for what in _twice(hosts)]
    if mistakes:
        raise error_for(path, mistakes)
    return tuple(hosts)


def become_password_of(access: LabAccess, name: str) -> str | None:
    """The password for sudo on a host: the one that was asked for, else the inventory's; None: there is none.

    Raises:
        LabInventoryError: it cannot be read.
    """
    try:
        given = access.keys.become
    except OSError as error:
        raise LabInventoryError(f"{error.filename}: {error.strerror}") from error
    if given is not None or access.inventory is None:
        return given
    found = _read(access.inventory, access.keys, PASSWORDS, name)[0].get(name, {})
    return next((str(found[one]) for one in PASSWORDS if found.get(one) is not None), None)


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:  # no folder, or one that Ansible is about to name
        return []


def _is_experiment(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return False
    return all(key.search(text) for key in _EXPERIMENT_KEYS)


def _lab_host(name: str, variables: Mapping[str, Any], keys: LabKeys) -> tuple[LabHost, list[str]]:
    settings, mistakes = host_settings(variables)
    if _NAME.fullmatch(name) is None:
        what = "have letters, digits, dots, dashes and underscores only, at most 200, and begin with a letter or digit"
        mistakes.append(f"its name must {what}")
    elif name in _NO_NAMES:
        mistakes.append("its name is that of a group: give it another one, and this as its ansible_host")
    connection = variables.get("ansible_connection", "ssh")
    if connection not in ("local", "ssh", "smart", "ansible.builtin.ssh", "ansible.builtin.local"):
        mistakes.append(f"ansible_connection is {connection}, and must be ssh, or local for this machine")
    is_local = str(connection).endswith("local")
    ssh = None
    if not is_local:
        ssh, wrong = ssh_of(name, variables, keys)
        mistakes += [*wrong, *become_mistakes(variables), *password_mistakes(variables)]
    host = LabHost(
        name=name,
        cpus=settings.cpus,
        memory_bytes=settings.memory_bytes,
        gpu_ids=settings.gpu_ids,
        labels=settings.labels,
        connection="local" if is_local else "ssh",
        address=None if ssh is None else ssh.address,
        lab_address=settings.lab_address,
        ssh=ssh,
        state_root=settings.state_root,
        processor=settings.processor,
    )
    return host, mistakes


def _other_groups(groups: Sequence[str]) -> str:
    """What to do with an inventory whose groups have other names."""
    if not groups:
        return ""
    shown = ", ".join(groups[:5]) + (", ..." if len(groups) > 5 else "")
    return f"; it has {shown}: add `{GROUP}: {{children: {{{groups[0]}: }}}}`, or in INI `[{GROUP}:children]`"


def _twice(hosts: Sequence[LabHost]) -> Iterator[str]:
    """A sentence for each machine that has two names: it would carry twice what it can."""
    seen: dict[tuple[Any, ...], str] = {}
    for host in hosts:
        address = None if host.address is None else host.address.lower()
        where = (host.lab_address,) if host.lab_address else (address, host.ssh.port if host.ssh else None)
        if where in seen:
            yield f"hosts {seen[where]} and {host.name} are the same machine"
        seen.setdefault(where, host.name)


def _read(
    path: Path, keys: LabKeys, also: Sequence[str] = (), only: str | None = None
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Variables of the lab hosts that matter here, by host; and the names of the groups that have hosts.

    Args:
        also: secrets to read, too; a variable that is not asked for is not decrypted.
        only: the one host to read.

    Raises:
        LabInventoryError: Ansible cannot read the inventory.
    """
    unread = describe_unread_here()
    with _ansible_settings():
        from ansible.errors import AnsibleError
        from ansible.inventory.manager import InventoryManager
        from ansible.parsing.dataloader import DataLoader
        from ansible.template import Templar
        from ansible.vars.manager import VariableManager

        try:
            _start_ansible()
            loader = DataLoader()
            _use_vaults(loader, [(secret.label, _vault(secret, loader)) for secret in keys.vault])
            with unparsed_explained(loader):
                inventory = InventoryManager(loader=loader, sources=[str(path)])
            manager = VariableManager(loader=loader, inventory=inventory)
            group = inventory.groups.get(GROUP)
            found = {}
            for host in () if group is None else group.get_hosts():
                if only is not None and host.name != only:
                    continue
                variables = manager.get_vars(host=host, include_hostvars=False)
                templar = Templar(loader=loader, variables=variables)
                wanted = [name for name in variables if _matters(name, also)]
                found[str(host.name)] = {str(name): _plain(templar.template(variables[name])) for name in wanted}
                # That there is one matters, and not what it is.
                found[str(host.name)] |= {name: "" for name in LOGIN_PASSWORDS if variables.get(name) is not None}
        except AnsibleError as error:
            text = " ".join(str(error).split())
            hint = DOCUMENTED
            if "vault" in text.lower():
                hint = "; ".join(filter(None, ("--vault-password-file or --vault-id opens it", unread)))
            raise LabInventoryError(f"{path}: {text}", hint=hint) from error
        except SystemExit as error:  # of the plugin that reads experiment files, which has named one further below
            raise LabInventoryError(f"{path}: has an experiment file in it", hint=MOVE_IT) from error
        named = sorted(one.name for one in inventory.groups.values() if one.get_hosts())
        return found, [one for one in named if one not in ("all", "ungrouped", GROUP)]


def _matters(name: str, also: Sequence[str]) -> bool:
    if "pass" in name:
        return name in also
    return name in also or name.startswith(("fedsim_", "ansible_ssh_")) or name in _CONNECTION


_CONNECTION: Final = frozenset(
    {
        "ansible_become",
        "ansible_become_method",
        "ansible_become_user",
        "ansible_connection",
        "ansible_host",
        "ansible_host_key_checking",
        "ansible_port",
        "ansible_private_key_file",
        "ansible_python_interpreter",
        "ansible_user",
    }
)


def _plain(value: Any) -> Any:
    """Without what Ansible attaches to values."""
    if isinstance(value, Mapping):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value if value is None else str(value)


@cache
def _start_ansible() -> None:
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader()


def _use_vaults(loader: Any, secrets: list[tuple[str, Any]]) -> None:
    """For whole files that are encrypted, and for single values, of which Ansible keeps the secrets in one place."""
    loader.set_vault_secrets(secrets)
    try:
        from ansible.parsing.vault import VaultSecretsContext
    except ImportError:  # before ansible-core 2.19 the loader's count for both
        return
    current = VaultSecretsContext.current(optional=True)
    if current is None:
        VaultSecretsContext.initialize(VaultSecretsContext(secrets))
    else:
        current.secrets = secrets


def _vault(secret: VaultSecret, loader: Any) -> Any:
    from ansible.parsing.vault import VaultSecret as Secret
    from ansible.parsing.vault import get_file_vault_secret

    if secret.text is not None:
        return Secret(secret.text.encode())
    made = get_file_vault_secret(filename=str(secret.file), vault_id=secret.label, loader=loader)
    made.load()
    return made


@contextmanager
def _ansible_settings() -> Iterator[None]:
    """Have Ansible, which looks at these while it is imported, take our configuration and not the user's."""
    ours = {
        "ANSIBLE_CONFIG": str(content_root() / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_NOCOLOR": "1",
    }
    before = {key: value for key, value in os.environ.items() if key.startswith("ANSIBLE_")}
    for key in before:
        del os.environ[key]
    os.environ.update(ours)
    try:
        yield
    finally:
        for key in ours:
            os.environ.pop(key, None)
        os.environ.update(before)

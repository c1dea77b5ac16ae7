"""The options of all verbs that work on a lab: which lab it is, and what opens its hosts."""

from __future__ import annotations

import functools
import getpass
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..contract.errors import Exit, FedsimError
from ..lab.access import LabKeys, VaultSecret
from ..runs.labs import LabOptions
from ..user_folders import expand_user

PROMPT = "prompt"
PANEL = "Lab"


def on_a_lab(verb: Callable[..., int]) -> Callable[..., int]:
    """Give a verb the options of a lab, in place of its parameter ``lab``, which gets them as one value."""
    own = inspect.signature(verb, eval_str=True)
    others = [parameter for name, parameter in own.parameters.items() if name != "lab"]
    shared = list(inspect.signature(_lab_options, eval_str=True).parameters.values())

    @functools.wraps(verb)
    def with_lab(**given: Any) -> int:
        words = {parameter.name: given.pop(parameter.name) for parameter in shared}
        return verb(lab=_lab_options(**words), **given)

    with_lab.__signature__ = own.replace(parameters=[*others, *shared])  # type: ignore[attr-defined]  # inspect reads it
    with_lab.__annotations__ = {one.name: one.annotation for one in (*others, *shared)}
    # Or typer would look for the parameters of the verb itself.
    del with_lab.__wrapped__
    return with_lab


def _lab_options(
    inventory: Annotated[
        list[str] | None,
        typer.Option(
            "--inventory",
            "-i",
            metavar="PATH",
            help="Ansible inventory of the lab, with a group lab_hosts; `local`: this machine.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    ask_become_pass: Annotated[
        bool, typer.Option("--ask-become-pass", "-K", help="Ask for the password of sudo.", rich_help_panel=PANEL)
    ] = False,
    become_password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the password of sudo.", rich_help_panel=PANEL),
    ] = None,
    vault_id: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL@SOURCE", help="Password of Ansible Vault: a file, or `prompt`.", rich_help_panel=PANEL
        ),
    ] = None,
    vault_password_file: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="File with a password of Ansible Vault.", rich_help_panel=PANEL),
    ] = None,
    private_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SSH key to use.", rich_help_panel=PANEL)
    ] = None,
    ssh_common_args: Annotated[
        str | None, typer.Option(metavar="ARGS", help="Further arguments of ssh.", rich_help_panel=PANEL)
    ] = None,
    allow_missing_hosts: Annotated[
        bool,
        typer.Option(
            "--allow-missing-hosts",
            help="Plan without lab hosts that cannot be reached; the report names them.",
            rich_help_panel=PANEL,
        ),
    ] = False,
) -> LabOptions:
    if inventory and len(inventory) > 1:
        text = f"-i: a lab is one inventory, and {len(inventory)} are given ({', '.join(inventory)})"
        raise FedsimError(text, Exit.SPEC, "put them into one folder: Ansible reads all files of it as one inventory")
    if ask_become_pass and become_password_file is not None:
        raise FedsimError("--ask-become-pass and --become-password-file: give one of them", Exit.SPEC)
    for option, path in (("--become-password-file", become_password_file), ("--private-key", private_key)):
        if path is not None and not expand_user(path, option).is_file():
            raise FedsimError(f"{option}: there is no file {path}", Exit.SPEC)
    password = _ask("password of sudo on the lab hosts: ") if ask_become_pass else None
    vault = [_secret(text) for text in vault_id or ()]
    vault += [_secret(str(path)) for path in vault_password_file or ()]
    keys = LabKeys(
        become_password=password,
        become_password_file=_resolved("--become-password-file", become_password_file),
        vault=tuple(vault),
        private_key=_resolved("--private-key", private_key),
        ssh_common_args=ssh_common_args,
    )
    return LabOptions(inventory[0] if inventory else None, keys, allow_missing_hosts)


def _resolved(option: str, path: Path | None) -> Path | None:
    return None if path is None else expand_user(path, option).resolve()


def _secret(text: str) -> VaultSecret:
    """A vault's password by Ansible's notation: ``LABEL@SOURCE`` or ``SOURCE``."""
    label, separator, source = text.partition("@")
    if not separator:
        label, source = "default", text
    if source == PROMPT:
        return VaultSecret(label or "default", text=_ask(f"password of vault {label or 'default'}: "))
    path = expand_user(source, "--vault-id")
    if not path.is_file():
        raise FedsimError(f"--vault-id {text}: there is no file {source}", Exit.SPEC)
    return VaultSecret(label or "default", file=path.resolve())


def _ask(prompt: str) -> str:
    try:
        return getpass.getpass(prompt)
    except EOFError as error:
        raise FedsimError(f"{prompt.removesuffix(': ')}: there is no terminal to ask on", Exit.SPEC) from error

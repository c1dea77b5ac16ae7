"""Why Ansible cannot read an inventory: what the plugin for such a file says, in place of what every plugin says."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, Final

import yaml

from .inventory_error import error_for

_UNPARSED: Final = re.compile(r"Completely failed to parse inventory source (.+)")
_PLUGINS: Final = {".yml": "yaml", ".yaml": "yaml", ".json": "yaml", ".toml": "toml"}
# Classes of Ansible's own, in its messages.
_CLASS: Final = re.compile(r"<class '(?:\w+\.)*(?:_?Ansible(?:Tagged)?)?(\w+)'>")
# What begins with a key, after comments and the mark of a document.
_MAPPING: Final = re.compile(r"(\s*#.*\n|\s*\n|---.*\n)*\s*[^\s\[#:]+:(\s|$)")
_TEXT: Final = "tag:yaml.org,2002:str"


@contextmanager
def unparsed_explained(loader: Any) -> Iterator[None]:
    """Replace what Ansible prints and raises about an inventory that no plugin can read by the mistakes in it.

    Args:
        loader: Ansible's reader of files, which has the vaults' secrets.

    Raises:
        LabInventoryError: no plugin can read a file.
    """
    from ansible.errors import AnsibleError

    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            yield
    except AnsibleError as error:
        if (found := _UNPARSED.match(str(error))) is not None:
            path = Path(found[1])
            raise error_for(path, _mistakes(path, loader)) from error
        sys.stderr.write(printed.getvalue())
        raise
    sys.stderr.write(printed.getvalue())


def _mistakes(path: Path, loader: Any) -> list[str]:
    plugin = _plugin_for(path)
    found = list(_yaml_mistakes(path)) if plugin == "yaml" else []
    return found or [f"{path}: {_words_of(plugin, path, loader)}"]


def _plugin_for(path: Path) -> str:
    if path.suffix.lower() in _PLUGINS:
        return _PLUGINS[path.suffix.lower()]
    if os.access(path, os.X_OK):
        return "script"
    # Without an ending either of two languages can be meant.
    return "yaml" if not path.suffix and _MAPPING.match(_text_of(path)) else "ini"


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # Ansible says so


def _yaml_mistakes(path: Path) -> Iterator[str]:
    """Mistakes of which Ansible does not say the line, or names only the first."""
    try:
        node = yaml.compose(_text_of(path), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        yield f"{path}{'' if mark is None else f':{mark.line + 1}'}: {error.problem}"
        return
    except yaml.YAMLError as error:
        yield f"{path}: {' '.join(str(error).split())}"
        return
    for kind, key in _names(node):
        if key.tag != _TEXT:
            name = key.value
            what = f'the name of a {kind} is {name}, which YAML does not take for text: write "{name}"'
            yield f"{path}:{key.start_mark.line + 1}: {what}"


def _names(groups: yaml.Node | None) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """The nodes of the groups' and hosts' names in a mapping of groups."""
    for name, group in _entries(groups):
        yield "group", name
        for key, value in _entries(group):
            if key.value == "children":
                yield from _names(value)
            elif key.value == "hosts":
                yield from (("host", host) for host, _ in _entries(value))


def _entries(node: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode))


def _words_of(plugin: str, path: Path, loader: Any) -> str:
    """What one plugin says about the file."""
    from ansible.errors import AnsibleError
    from ansible.inventory.data import InventoryData
    from ansible.plugins.loader import inventory_loader

    try:
        inventory_loader.get(f"ansible.builtin.{plugin}").parse(InventoryData(), loader, str(path), cache=False)
    except AnsibleError as error:
        return _CLASS.sub(lambda found: found[1].lower(), " ".join(str(error).split()).rstrip("."))
    return "no plugin of Ansible can read it"

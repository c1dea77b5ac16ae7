"""Which names experiments, devices, device types and network profiles may have."""

from __future__ import annotations

import re

NAME_MAX = 40
NAME_PATTERN = rf"^[a-z0-9]([a-z0-9-]{{0,{NAME_MAX - 2}}}[a-z0-9])?$"
# Ansible's groups and ours, whose names a host must not have, and the hosts that are not devices.
RESERVED = frozenset({"all", "ungrouped", "devices", "localhost", "local"})
# In the /etc/hosts that the Engine gives to every container, where these stand before the devices.
OF_EVERY_CONTAINER = frozenset(
    {"ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters"}
)

_NAME = re.compile(NAME_PATTERN)


def explain_wrong_name(name: str) -> tuple[str, str | None] | None:
    """Say why a text is not a valid name, and suggest one; None if it is valid.

    Device names are host names, so the rule is that of a DNS label (RFC 1123) of at most 40 characters.
    """
    if _NAME.match(name) and "\n" not in name:
        return None
    if len(name) > NAME_MAX:
        return f'"{name[:20]}..." is not a valid name: {len(name)} characters are more than {NAME_MAX}', None
    nearest = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    message = f'"{name}" is not a valid name: use lower-case letters, digits and hyphens, no hyphen at the ends'
    return message, f'for example "{nearest}"' if nearest else None


def explain_unusable_device(name: str) -> str | None:
    """Say why a valid name cannot be that of a device, which others find by its name; None if it can."""
    if name in RESERVED:
        return f'"{name}" is reserved'
    if name in OF_EVERY_CONTAINER:
        return f'"{name}" is reserved: in a container it is the name of an IPv6 address'
    return None

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

# Device types and network profiles are no host names. What separates words is what Docker takes in an image's name.
KIND_PATTERN = rf"^(?=.{{1,{NAME_MAX}}}$)[a-z0-9]+((_{{1,2}}|-+)[a-z0-9]+)*$"

_NAME = re.compile(NAME_PATTERN)
_KIND = re.compile(KIND_PATTERN)


def explain_wrong_name(name: str) -> tuple[str, str | None] | None:
    """Say why a text is not a valid name, and suggest one; None if it is valid.

    Device names are host names, so the rule is that of a DNS label (RFC 1123) of at most 40 characters.
    """
    return _explain(name, _NAME, "use lower-case letters, digits and hyphens, no hyphen at the ends")


def explain_wrong_kind(name: str) -> tuple[str, str | None] | None:
    """Say why a text is not a valid name of a device type or network profile, and suggest one; None if it is valid."""
    return _explain(name, _KIND, "use lower-case letters and digits, and hyphens or underscores between them")


def as_device_name(kind: str) -> str:
    """The name of a device that has none of its own, from its type's: host names have no underscores."""
    return kind.replace("_", "-")


def _explain(name: str, pattern: re.Pattern[str], rule: str) -> tuple[str, str | None] | None:
    if pattern.match(name) and "\n" not in name:
        return None
    if len(name) > NAME_MAX:
        return f'"{name[:20]}..." is not a valid name: {len(name)} characters are more than {NAME_MAX}', None
    nearest = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f'"{name}" is not a valid name: {rule}', f'for example "{nearest}"' if nearest else None


def explain_unusable_device(name: str) -> str | None:
    """Say why a valid name cannot be that of a device, which others find by its name; None if it can."""
    if name in RESERVED:
        return f'"{name}" is reserved'
    if name in OF_EVERY_CONTAINER:
        return f'"{name}" is reserved: in a container it is the name of an IPv6 address'
    return None

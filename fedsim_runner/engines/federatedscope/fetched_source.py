"""What planning could not check of a course, because its source had to be fetched first: keys and names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import mode_rules, name_rules
from .course_facts import NAME_ANOTHER, Course, Kind, Participant, Tree
from .fit import cannot_be_distributed
from .keys import check_keys, read_keys
from .source import SettingsError
from .source_code import CodeError
from .source_names import has_name


def refuse_unknown(config: Mapping[str, Any], source: Path) -> None:
    """Check a configuration against a wheel.

    Raises:
        SettingsError: keys or names that it does not know, or values of a wrong type; one line for each.
        CodeError: the source is not FederatedScope, or cannot be read.
    """

    def is_added(kind: Kind, name: str, any_case: bool) -> bool:
        return has_name(source, kind, name, any_case=any_case)

    whole = cannot_be_distributed(source)
    if whole is not None:
        raise CodeError(f"{source}: {whole}")
    everyone = Participant("server", "federatedscope", config)
    course = Course(everyone, [everyone], is_added=is_added, where_else=NAME_ANOTHER)
    found = [str(problem) for problem in check_keys(config, read_keys(source), NAME_ANOTHER)]
    for rule in (name_rules.names, mode_rules.methods):
        found += (f"{one.key}: {one.reason} ({one.hint})" for one in rule(Tree(config), course))
    if found:
        raise SettingsError("\n".join(f"federatedscope.config.{problem}" for problem in found))

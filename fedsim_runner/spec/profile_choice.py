"""A network profile where one is chosen: by its name, or written out."""

from __future__ import annotations

from ..catalog.entries import ProfileEntry
from ..catalog.resolve import resolve_profile
from ..catalog.suggestions import suggestion
from ..catalog.types import NetworkProfile
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart
from .definitions import Choices


def choose_profile(
    given: str | ProfileEntry, own_name: str, at: tuple[PathPart, ...], choices: Choices, document: Document
) -> NetworkProfile | None:
    """Return the profile; None: it is wrong, which is reported, or has been.

    Args:
        given: what the file says.
        own_name: what a profile is called that is written out.
        at: where it says that.
        choices: the profiles that have names.
        document: the file.
    """
    if isinstance(given, str):
        if given not in choices.profiles:
            document.report(at, f'there is no network profile "{given}"', suggestion(given, list(choices.profiles)))
            return None
        return choices.profiles[given]
    base = None
    if given.based_on is not None:
        if given.based_on not in choices.profiles:
            hint = suggestion(given.based_on, list(choices.profiles))
            document.report((*at, "based_on"), f'there is no network profile "{given.based_on}"', hint)
            return None
        base = choices.profiles[given.based_on]
        if base is None:
            return None
    profile, problems = resolve_profile(own_name, given, base, folder=choices.folder)
    for problem in problems:
        document.report((*at, *problem.path), problem.message, problem.hint)
    return profile


def varies(given: str | ProfileEntry) -> bool:
    """Whether a profile that is written out varies by itself, without regard to its base."""
    return isinstance(given, ProfileEntry) and (given.trace is not None or given.states is not None)

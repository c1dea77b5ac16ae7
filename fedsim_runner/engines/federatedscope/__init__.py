"""FederatedScope itself: where it comes from, and how it is had as a wheel.

``settings`` (the user's configuration file) is imported by its own name: it brings pydantic, which few calls need.
"""

from .source import SettingsError, Source, SourceError, parse_source, resolve_source
from .wheel import CachedSource, source_manifest

__all__ = [
    "CachedSource",
    "SettingsError",
    "Source",
    "SourceError",
    "parse_source",
    "resolve_source",
    "source_manifest",
]

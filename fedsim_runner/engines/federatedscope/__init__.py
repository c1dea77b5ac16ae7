"""FederatedScope itself: where it comes from, and how it becomes a wheel.

``user_settings`` (the user's configuration file) is imported on demand: it brings pydantic, which few calls need.
"""

from .source import SettingsError, Source, SourceError, parse_source
from .source_in_use import resolve_source
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

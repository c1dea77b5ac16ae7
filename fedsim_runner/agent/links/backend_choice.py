"""Which back end shapes the links of a run, or why none does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..run_settings import RunSettings
from . import backends


class BackendChoice:
    """The choice for one run.

    Args:
        requested: name of a link back end, or ``auto``.
        probed: what the kernel can shape links with.

    Attributes:
        probed: the same.
        likely: the back end, before it is known which links there are; None: the kernel lacks what any needs.
    """

    def __init__(self, requested: str, probed: Mapping[str, Any]) -> None:
        self.probed = probed
        self.likely: str | None = probed["backend"] if requested == backends.AUTO else requested

    def of(self, settings: RunSettings) -> tuple[str | None, str | None]:
        """The back end for the links of these settings, or None and why nothing is shaped.

        Raises:
            UnshapableError: no back end here can shape them, and ``allow_unshaped`` is not set.
        """
        try:
            return backends.choose(settings.link_backend, settings.links, self.probed), None
        except backends.UnshapableError as error:
            if not settings.allow_unshaped:
                raise
            return None, str(error)

"""Why links of a run cannot be made or changed."""

from __future__ import annotations

from fedsim_runner.contract.errors import Exit, FedsimError


class NoNetworkError(FedsimError):
    """No container holds the run's network; the text names it."""

    exit = Exit.LINKS


class LinkError(FedsimError):
    """A link could not be made; the text says why."""

    exit = Exit.LINKS

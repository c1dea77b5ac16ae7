"""The engines that an option names, repeated or separated by commas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fedsim_runner.contract.errors import Exit, FedsimError


def engine_names(named: Iterable[str], known: Sequence[str], otherwise: str) -> list[str]:
    """Return each name once, in the order in which they were given.

    Args:
        named: the option's values.
        known: the names that there are.
        otherwise: what is said of another name.

    Raises:
        FedsimError: one is not known, or there is none.
    """
    names = [name.strip() for part in named for name in part.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise FedsimError(f'--engine: "{name}" {otherwise}; there are {", ".join(known)}', Exit.SPEC)
    if not names:
        raise FedsimError(f"--engine: names none; there are {', '.join(known)}", Exit.SPEC)
    return list(dict.fromkeys(names))

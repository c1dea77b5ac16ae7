"""What a user may have meant by a word that is none of those known."""

from __future__ import annotations

import difflib


def suggestion(word: str, candidates: list[str], *, or_all: bool = True) -> str | None:
    """Return ``did you mean "x"?``, or all candidates if they are few enough to read."""
    near = nearest(word, candidates)
    if near is not None:
        return f'did you mean "{near}"?'
    unique = sorted(set(candidates))
    if or_all and 0 < len(unique) <= 20:
        return "known: " + ", ".join(unique)
    return None


def nearest(word: str, candidates: list[str], *, alike: float = 0.6) -> str | None:
    """Find the candidate that is spelt most like ``word``, or the only one that contains it.

    Args:
        word: it.
        candidates: what is known.
        alike: how similar the spelling must be, from 0 to 1.
    """
    lowered = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=alike)
    if near:
        return lowered[near[0]]
    containing = [name for name in sorted(set(candidates)) if len(word) > 2 and word.lower() in name.lower()]
    return containing[0] if len(containing) == 1 else None

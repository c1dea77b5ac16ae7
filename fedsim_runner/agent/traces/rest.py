"""How long the thread that plays variations rests, so that devices have the processors. Pure: it is given times."""

from __future__ import annotations

from typing import Final

#: The thread may compute for this share of the time.
SHARE: Final = 0.25
#: So much may be computed beyond that, before it rests: one slow batch puts off none that follows.
ALLOWANCE_S: Final = 0.25
#: The longest rest: where a lab host is a virtual machine that waits for processors itself, its kernel may count that
#: as computing.
LONGEST_S: Final = 0.5


class Rest:
    """Keeps a thread below a share of a processor over some seconds, and not after each thing that it does.

    The kernel counts computing in ticks of up to 10 ms, and a tick says little of one batch.
    """

    def __init__(self) -> None:
        self._owed_s = 0.0
        self._at_s = 0.0

    def until_s(self, now_s: float, computed_s: float) -> float:
        """When it may go on.

        Args:
            now_s: the time, which only grows.
            computed_s: how long it has computed since the last call.
        """
        owed_s = max(0.0, self._owed_s - SHARE * (now_s - self._at_s)) + computed_s
        self._owed_s, self._at_s = min(owed_s, ALLOWANCE_S + SHARE * LONGEST_S), now_s
        return now_s + max(0.0, self._owed_s - ALLOWANCE_S) / SHARE

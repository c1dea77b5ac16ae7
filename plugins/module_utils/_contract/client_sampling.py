"""How many clients a round asks, as FederatedScope's ``core/configs/cfg_fl_setting.py`` decides it."""

from __future__ import annotations


def asked_clients(clients: int, number: float, rate: float) -> int:
    """The clients of one round, at least one. What is not possible counts as not given, and then all are asked.

    Args:
        clients: those of the course.
        number: ``federate.sample_client_num``.
        rate: ``federate.sample_client_rate``, which counts where both are given.
    """
    if 0 < rate <= 1:
        return max(1, int(rate * clients))
    return int(number) if 0 < number <= clients else clients

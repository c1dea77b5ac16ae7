"""The model of losses in bursts: its figures against what is known of special cases."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.gilbert_elliott import GilbertElliott


def test_gilbert_s_own_model_has_bursts_of_one_over_r() -> None:
    model = GilbertElliott(0.01, 0.25)
    assert model.mean_loss == pytest.approx(0.01 / 0.26)
    assert model.mean_burst == pytest.approx(4)


def test_a_state_that_says_nothing_of_the_next_one_makes_losses_independent() -> None:
    model = GilbertElliott(0.2, 0.8, 0.5, 0.1)
    assert model.mean_loss == pytest.approx(0.2 * 0.5 + 0.8 * 0.1)
    assert model.variance_factor == pytest.approx(1)
    assert model.mean_burst == pytest.approx(1 / (1 - model.mean_loss))


def test_long_bursts_make_the_number_of_losses_vary() -> None:
    """With rare bursts of mean length L their number decides: 2 L - 1 times the variance (geometric lengths)."""
    assert GilbertElliott(0.00001, 0.1).variance_factor == pytest.approx(2 * 10 - 1, rel=0.01)

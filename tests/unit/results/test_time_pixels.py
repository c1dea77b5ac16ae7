"""Bars that are narrower than a pixel become the mean of their colours."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fedsim_runner.results.figures.style import PARTS
from fedsim_runner.results.figures.time_pixels import COLUMNS, ROW_PIXELS, draw_pixels

pytestmark = pytest.mark.drawing


def test_a_pixel_has_the_colours_of_what_happened_in_its_time() -> None:
    axes = Figure().subplots()
    # A pixel lasts one second. Row 0: half of every second computing, half waiting; row 1: nothing for the first half.
    spans = {
        (0, "compute"): [(float(second), 0.5) for second in range(COLUMNS)],
        (0, "waiting"): [(second + 0.5, 0.5) for second in range(COLUMNS)],
        (1, "upload"): [(COLUMNS / 2, COLUMNS / 2)],
    }
    draw_pixels(axes, spans, 2, 0.72, 0.0, float(COLUMNS))
    picture = np.asarray(axes.images[0].get_array()) / 255
    mixed = (np.array(to_rgb(PARTS["compute"][0])) + to_rgb(PARTS["waiting"][0])) / 2
    middle = ROW_PIXELS // 2
    assert picture[middle] == pytest.approx(np.tile(mixed, (COLUMNS, 1)), abs=0.01)
    assert picture[0] == pytest.approx(1.0), "the gap between rows"
    assert picture[ROW_PIXELS + middle, : COLUMNS // 2] == pytest.approx(1.0)
    assert picture[ROW_PIXELS + middle, -1] == pytest.approx(to_rgb(PARTS["upload"][0]), abs=0.01)

"""What a plan says of a silence timeout that is too short to tell work from silence. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..contract.time_scale import REAL_TIME, TimeScale
from ..spec.experiment import Experiment

#: Devices are sampled once a second, and a device that uses its processor between two samples is seen to work: with
#: the third sample after the last report at the latest.
SEEN_WITHIN_S = 3.0


def describe_short_silence(experiment: Experiment, scale: TimeScale = REAL_TIME) -> Iterator[str]:
    """Yield a note if a device that works can be taken for a silent one.

    Args:
        experiment: in device time.
        scale: how device time and wall time are related.
    """
    silence_s = experiment.course.silence_timeout_s
    least_s = scale.to_device(SEEN_WITHIN_S)
    if silence_s < least_s:
        yield (
            f"course.silence_timeout is {silence_s:g} s: devices are sampled once a second{_wall(scale)}, so one that "
            f"trains for longer than that may be given up before its work is seen; {least_s:g} s are enough"
        )


def _wall(scale: TimeScale) -> str:
    return "" if scale.is_real else " of wall time"

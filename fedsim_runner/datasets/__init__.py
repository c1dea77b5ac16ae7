"""Data sets, their split among clients, and each participant's files. Pure up to the writing of files.

Same device file, same bytes: the split is drawn from the experiment's seed.
"""

from .render import RenderResult, effective_config, render_participants
from .sources import DATASETS
from .split import split_labels

__all__ = ["DATASETS", "RenderResult", "effective_config", "render_participants", "split_labels"]

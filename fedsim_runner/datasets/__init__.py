"""Data sets, their split among clients, and each participant's files. Pure up to the writing of files.

Same device file, same bytes: the split is drawn from the experiment's seed.
"""

from .render import RenderResult, effective_config, render_participants, shard_sizes

__all__ = ["RenderResult", "effective_config", "render_participants", "shard_sizes"]

"""The terminal to which all output goes, in which only our own text has colours, links and a cursor."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from ..contract.log_text import harmless


class SafeConsole(Console):
    """A console that prints no escape sequence of any text, whoever wrote it: a device, an Engine, a run folder."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n" or segment.text.isprintable():
                yield segment
            else:
                yield Segment(harmless(segment.text), segment.style)

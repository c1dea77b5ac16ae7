"""The shapes of letters, once in a page: each figure brings its own, which are a third of its size."""

from __future__ import annotations

import re

from markupsafe import Markup

# As matplotlib writes them; what stands in a figure as text cannot look like that, since it is escaped.
_SHAPE = re.compile(r'<path id="([^"]*DejaVuSans[^"]*)"([^>]*)/>\s*')
_USE = re.compile(r'xlink:href="#([^"]+)"')


class Glyphs:
    """Collects the shapes of letters of a page's figures."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}  # by the attributes of a shape

    def share(self, svg: str) -> str:
        """Return a figure without its shapes: it uses those of :meth:`definitions`."""
        renamed: dict[str, str] = {}

        def take(shape: re.Match[str]) -> str:
            renamed[shape[1]] = self._ids.setdefault(shape[2], f"glyph{len(self._ids)}")
            return ""

        without = _SHAPE.sub(take, svg)
        return _USE.sub(lambda use: f'xlink:href="#{renamed.get(use[1], use[1])}"', without)

    def definitions(self) -> Markup:
        """Return an element that takes no room, with all shapes."""
        shapes = "".join(f'<path id="{name}"{attributes}/>' for attributes, name in self._ids.items())
        style = "position:absolute;width:0;height:0"
        return Markup(f'<svg style="{style}" aria-hidden="true"><defs>{shapes}</defs></svg>')

"""The shapes of letters that the figures of a page share."""

from __future__ import annotations

from fedsim_runner.results.page.glyphs import Glyphs


def figure(name: str, shapes: dict[str, str]) -> str:
    defined = "".join(
        f'<path id="{name}-DejaVuSans-{one}" d="{d}"\ntransform="scale(0.02)"/>' for one, d in shapes.items()
    )
    used = "".join(f'<use xlink:href="#{name}-DejaVuSans-{one}" x="1"/>' for one in shapes)
    return f'<svg><defs>{defined}</defs><path id="{name}-m1" d="M 0 0"/><use xlink:href="#{name}-m1"/>{used}</svg>'


def test_the_same_shape_is_there_once_and_others_stay_apart() -> None:
    glyphs = Glyphs()
    one = glyphs.share(figure("accuracy", {"41": "M 1 1", "42": "M 2 2"}))
    # The same letter of another size is another shape.
    other = glyphs.share(figure("loss", {"42": "M 2 2", "41": "M 3 3"}))
    assert one == (
        '<svg><defs></defs><path id="accuracy-m1" d="M 0 0"/><use xlink:href="#accuracy-m1"/>'
        '<use xlink:href="#glyph0" x="1"/><use xlink:href="#glyph1" x="1"/></svg>'
    )
    assert other.endswith('<use xlink:href="#glyph1" x="1"/><use xlink:href="#glyph2" x="1"/></svg>')
    shapes = str(glyphs.definitions())
    assert shapes.count("<path") == 3 and '<path id="glyph2" d="M 3 3"\ntransform="scale(0.02)"/>' in shapes


def test_text_in_a_figure_is_no_shape() -> None:
    text = "<svg><title>&lt;path id=&quot;DejaVuSans&quot; d=&quot;&quot;/&gt;</title></svg>"
    glyphs = Glyphs()
    assert glyphs.share(text) == text
    assert "<path" not in str(glyphs.definitions())

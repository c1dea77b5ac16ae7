"""The verb images: build all images in advance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fedsim_runner.contract.errors import Exit
from fedsim_runner.contract.units import size
from fedsim_runner.runs.labs import LabOptions

from ..app import ImageBaseOption, JsonOption, app, out, print_json
from ..engine_names import engine_names
from ..lab_options import on_a_lab

if TYPE_CHECKING:
    from fedsim_runner.testbed.docker.lab_playbooks import Images

EngineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="Engine to build for, repeated or separated by commas, as light, light-cuda; light if left out.",
        show_default=False,
    ),
]


@app.command()
@on_a_lab
def images(
    engine: EngineOption = None, image_base: ImageBaseOption = None, as_json: JsonOption = False, *, lab: LabOptions
) -> int:
    """Build all images and print their sizes; images that exist are not built again."""
    from fedsim_runner.runs.labs import hosts_of
    from fedsim_runner.testbed.docker.lab_playbooks import build_images

    names = _engines(engine or ["light"])
    hosts, access = hosts_of(lab)
    by_host = build_images(out(stderr=as_json), image_base, names, hosts, access)
    if as_json:
        data = {name: {"images": found.images, "disk": found.disk} for name, found in by_host.items()}
        print_json(data if access.inventory is not None else next(iter(data.values())))
        return Exit.DONE
    for name, found in by_host.items():
        if access.inventory is not None:
            out().print(f"lab host {name}:", style="bold", highlight=False)
        _print(found)
    return Exit.DONE


def _print(found: Images) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", no_wrap=True)
    for column in ("size", "own layers"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("on", no_wrap=True)
    for reference, image in sorted(found.images.items()):
        table.add_row(reference, size(image["size"]), size(image["own"]), str(image.get("parent") or "-"))
    table.add_row("all, shared layers once", size(found.disk), "", "", style="bold")
    out().print(table)


def _engines(named: list[str]) -> list[str]:
    from fedsim_runner.catalog.engines import usable_engines

    # With -cuda for devices with a GPU.
    known = [engine.name for engine in usable_engines()]
    known += [f"{engine.name}-cuda" for engine in usable_engines() if engine.cuda]
    return engine_names(named, known, "is not an engine")

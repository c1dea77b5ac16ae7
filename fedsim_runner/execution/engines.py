"""What a device's engine will not do is said before anything is built, in the engine's own words."""

from __future__ import annotations

from ..datasets.render import effective_config
from ..inventory import build_inventory
from ..model import Plan
from ..participant.errors import UnsupportedError
from ..participant.light.settings import parse_settings
from .exits import Exit, FedsimError


def refuse_unsupported(plan: Plan) -> None:
    """Check the configuration of the server and of one client with each engine that the experiment uses.

    Raises:
        FedsimError: an engine is not part of this version, or refuses its configuration.
    """
    missing = sorted({item.device.name for item in plan.placed if item.device.engine != "light"})
    if missing:
        raise FedsimError(
            f"engine federatedscope is not part of this version ({', '.join(missing[:4])}): use engine: light",
            Exit.SPEC,
        )
    refused: dict[str, None] = {}
    for device_file in build_inventory(plan).device_files.values():
        # Clients differ in addresses alone.
        for device in {device["role"]: device for device in device_file["devices"]}.values():
            try:
                parse_settings(effective_config(device_file, device))
            except UnsupportedError as error:
                refused.update(dict.fromkeys(str(error).split("; ")))
    if refused:
        where = plan.experiment.path or "the experiment file"
        lines = "\n".join(f"{where}: federatedscope.config: {reason}" for reason in refused)
        raise FedsimError(f"{lines}\n{len(refused)} mistake{'s' if len(refused) > 1 else ''} in {where}", Exit.SPEC)

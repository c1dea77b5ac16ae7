"""What an experiment file says about FederatedScope itself: where it comes from, and whether it loads the data set."""

from __future__ import annotations

from dataclasses import replace

from fedsim_runner.catalog.data_sets import FEDERATEDSCOPE
from fedsim_runner.spec.draft import Draft

from .fit import fits
from .source import FROM_SPEC, PACKAGE, Source, SourceNameError, parse_source, without_password
from .source_at_hand import local_source
from .source_code import CodeError
from .source_in_use import resolve_source

_AT_SOURCE = ("federatedscope", "source")


def check_source(draft: Draft) -> Draft:
    """Return the draft with a checkout or a wheel as an absolute path; requirements and URLs stay as they are.

    Mistakes are reported in the draft. Nothing is fetched.
    """
    if draft.experiment.data.dataset == FEDERATEDSCOPE and draft.is_sound("data"):
        _check_interpreter(draft)
    written = draft.experiment.federatedscope_source
    found = None if written is None else _absolute(draft, written)
    if (written is None or found is not None) and any(one.engine == PACKAGE for one in draft.experiment.devices):
        _check_fit(draft, resolve_source(found))
        _check_moved(draft, resolve_source(found))
    return replace(draft, experiment=replace(draft.experiment, federatedscope_source=found))


def _absolute(draft: Draft, source: str) -> str | None:
    try:
        found = parse_source(source, draft.folder, FROM_SPEC)
    except SourceNameError as error:
        draft.report(_AT_SOURCE, error.reason)
        return None
    expected = {"checkout": "folder", "wheel": "file"}.get(found.kind)
    if expected is not None:
        try:
            there = found.path.is_dir() if expected == "folder" else found.path.is_file()
        except OSError as error:
            draft.report(_AT_SOURCE, f"{without_password(source)} cannot be read: {error.strerror}")
            return None
        if not there:
            reason = f"there is no {expected} {without_password(source)}"
            draft.report(_AT_SOURCE, reason, "paths start at this file's folder")
    return found.text


def _check_fit(draft: Draft, source: Source) -> None:
    place = local_source(source)
    if place is None or source.problem() is not None or fits(place):
        return
    # Imported only where it may not: the patches bring gRPC.
    from .misfits import misfits

    for reason, hint in misfits(place, draft.experiment.patches_off):
        draft.report(_AT_SOURCE, f"{source.shown}: {reason}", hint)


def _check_moved(draft: Draft, source: Source) -> None:
    """Report older keys that were moved, although the source in use has a key of that name."""
    place = local_source(source)
    if not draft.moved or draft.tree is None or place is None:
        return
    from .keys import read_keys

    try:
        known = read_keys(place)
    except CodeError:
        return  # reported when the engine looks at the keys
    for older, present in draft.moved.items():
        if known.has(older):
            reason = (
                f"read from {'.'.join(older)}, as in an older FederatedScope, but {source.shown} has a key of that name"
            )
            draft.tree.report(present, reason, "write it in federatedscope.config, where no key is moved")


def _check_interpreter(draft: Draft) -> None:
    # Imported only where FederatedScope loads the data: it brings numpy.
    from .data_loader import missing_interpreter

    wrong = missing_interpreter()
    if wrong:
        reason = f"FederatedScope loads it, and {wrong}"
        draft.report(("data", "dataset"), reason, "see federatedscope.python of the user configuration")

"""What a back end needs of the kernel, which links it refuses, and that nothing but its folder names it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.links import backends, probe
from fedsim_runner.agent.links.need import Need
from fedsim_runner.agent.links.netem import backend as netem
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.protocol import LinkBackend
from fedsim_runner.contract.link import Link

from ..fake_kernel import FakeKernel
from .cases import BURSTY, CASES, CODEL, IN_PLACE, NONE, PROPERTIES, each_backend, two


@each_backend
def test_its_name_is_its_folder_and_its_preference_is_unique(kind: type[LinkBackend]) -> None:
    assert kind.__module__ == f"fedsim_runner.agent.links.{kind.name}.backend"
    assert [other.preference for other in backends.load_all()].count(kind.preference) == 1
    assert kind.name in backends.names() and kind.name != backends.AUTO


@pytest.mark.parametrize("name", backends.names())
def test_nothing_outside_its_folder_names_it(name: str, repository: Path) -> None:
    package = repository / "fedsim_runner"
    folders = {package / "agent" / "links" / other for other in backends.names()}
    # What reads the kernel's own qdiscs knows their kinds, one of which has the name of a back end.
    kinds = package / "agent" / "kernel" / "kernel_qdiscs.py"
    others = [path for path in package.rglob("*.py") if path != kinds and not folders & set(path.parents)]
    assert [path for path in others if re.search(rf"\b{name}\b", path.read_text(encoding="utf-8"))] == []


@each_backend
def test_it_needs_nothing_for_no_link_and_something_for_every_property(kind: type[LinkBackend]) -> None:
    assert kind.needs([]) == kind.needs([Link(), Link()]) == []
    everything = {need.piece for need in kind.needs([backends.FULL_LINK])}
    for name, value in PROPERTIES.items():
        needs = kind.needs([Link(), Link(**{name: value})])
        assert needs and {need.piece for need in needs} <= everything
        assert all(need.label and need.holds and need.module for need in needs)


@each_backend
def test_each_missing_piece_has_its_fix(
    kind: type[LinkBackend], kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    kernel.lacks = ("tc", "iptables")
    found = probe.probe()
    assert found["backend"] is None
    fixes = {missing["what"]: missing["fix"] for missing in found["missing"]}
    profile = Profile([DeviceLink("a", "198.18.0.2", backends.FULL_LINK, Link())])
    with pytest.raises(backends.UnshapableError) as refusal:
        backends.choose(kind.name, profile, found)
    for need in kind.needs([backends.FULL_LINK]):
        assert found[need.piece] is False
        assert (need.hint() or need.module) in fixes[need.piece]
        assert f"{need.piece} ({fixes[need.piece]})" in str(refusal.value)
    assert backends.choose(kind.name, profile.without_links(), found) == kind.name


def test_a_refusal_does_not_call_unneeded_what_its_links_need() -> None:
    missing = {"what": "codel", "fix": "load it", "instead": "not needed: another back end holds them. "}
    probed = {need.piece: True for need in netem.Backend.needs([CODEL])} | {"codel": False, "missing": [missing]}
    with pytest.raises(backends.UnshapableError, match=r"missing codel \(load it\)"):
        backends.choose(netem.Backend.name, two((CODEL, CODEL), NONE), probed)


def test_what_ordinary_links_have_instead_is_not_part_of_the_fix(
    kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trial(need: Need, found: dict[str, Any], reasons: dict[str, str]) -> None:
        found[need.piece] = need not in netem.Backend.needs([CODEL])

    monkeypatch.setattr(probe, "_try", trial)
    found = probe.probe()
    (codel,) = [one for one in found["missing"] if one["what"] == "codel"]
    assert codel["instead"].startswith(f"not needed: the {found['backend']} back end")
    assert "not needed" not in codel["fix"]


@each_backend
def test_auto_takes_it_where_the_kernel_lacks_what_the_others_need(kind: type[LinkBackend]) -> None:
    probed = {need.piece: True for need in kind.needs([backends.FULL_LINK])}
    assert backends.choose(backends.AUTO, CASES["different"], probed) == kind.name


@each_backend
@pytest.mark.parametrize(
    "link", [BURSTY, Link(duplicate=0.1), Link(corrupt=0.1), CODEL], ids=["bursts", "duplicate", "corrupt", "codel"]
)
def test_what_it_does_not_do_it_refuses(kind: type[LinkBackend], link: Link, probed: dict[str, Any]) -> None:
    """Another plan than without it, or a refusal by name."""
    plain = dataclasses.replace(link, bursts=None, duplicate=0.0, corrupt=0.0, queue=None)
    first, second = (two((one, Link()), NONE) for one in (link, plain))
    (said,) = backends.refusals([link]) or [""]
    if any(kind.lacks([link])):
        assert said.startswith(f"back end {kind.name} ")
        with pytest.raises(backends.UnshapableError, match=re.escape(said)):
            backends.choose(kind.name, first, probed)
    else:
        assert kind(probed).plan(first) != kind(probed).plan(second)
        assert backends.choose(kind.name, first, probed) == kind.name


def test_bursts_and_jitter_together_are_held_and_not_with_duplicates() -> None:
    link = dataclasses.replace(BURSTY, jitter_us=1_000)
    kinds = [kind for kind in backends.load_all() if kind.name in IN_PLACE]
    probed = {need.piece: True for kind in kinds for need in kind.needs([link])} | {"kernel": "6.1"}
    both = Profile([DeviceLink("a", "198.18.0.2", link, Link())])
    assert backends.choose(backends.AUTO, both, probed) == netem.Backend.name
    duplicated = dataclasses.replace(link, duplicate=0.1)
    with pytest.raises(backends.UnshapableError) as refusal:
        backends.choose(backends.AUTO, Profile([DeviceLink("a", "198.18.0.2", duplicated, Link())]), probed)
    assert "duplicates no packets" in str(refusal.value) and "in bursts where links have jitter" in str(refusal.value)

"""The catalogue: what the product promises for its types and profiles, and how entries become values."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from fedsim_runner.catalog.entries import DeviceTypeEntry, LimitsEntry, ProfileEntry
from fedsim_runner.catalog.load import load_catalog
from fedsim_runner.catalog.name_rules import (
    as_device_name,
    explain_unusable_device,
    explain_wrong_kind,
    explain_wrong_name,
)
from fedsim_runner.catalog.resolve import resolve_device_type, resolve_profile, with_limits
from fedsim_runner.catalog.suggestions import suggestion
from fedsim_runner.contract.link import Link

MB = 2**20


def test_device_types() -> None:
    types = load_catalog().device_types
    promised = {
        "edge-server": (16, 32768, "amd64", "gigabit"),
        "smartphone-high": (8, 4096, "amd64", "5g"),
        "smartphone-low": (4, 1536, "amd64", "4g"),
        "raspberry-pi": (4, 4096, "arm64", "wifi"),
        "iot-minimal": (1, 256, "amd64", "3g"),
    }
    found = {name: (t.cpus, t.memory_bytes // MB, t.arch, t.network) for name, t in types.items() if name in promised}
    assert found == promised
    assert all(types[name].compute is None for name in promised)
    assert types["edge-server"].gpus == types["smartphone-high"].gpus == 1


def test_types_with_figures_say_whether_they_are_published_and_others_are_nominal() -> None:
    catalog = load_catalog()
    for name, value in catalog.device_types.items():
        entry = catalog.device_type_entries[name]
        if value.compute is not None:
            assert value.compute.source.startswith("published" if entry.compute.reference else "derived"), name
        elif name != "raspberry-pi":  # the board's cores and memory are known, its speed is the lab host's
            assert "Nominal" in str(entry.source), name
    seconds = {name: value.compute.seconds for name, value in catalog.device_types.items() if value.compute}
    assert sorted(seconds, key=lambda name: seconds[name]) == [
        "x86-edge-server",
        "laptop",
        "raspberry-pi-5",
        "raspberry-pi-4",
        "raspberry-pi-3",
        "mcu-gateway",
    ]


def test_profiles_get_slower_with_more_delay() -> None:
    profiles = load_catalog().profiles
    order = ["gigabit", "5g", "4g", "3g", "2g"]
    measured = {f"{generation}g-{quality}" for generation in (3, 4) for quality in ("good", "medium", "bad")}
    assert set(profiles) == {*order, "wifi", "5g-measured"} | measured
    for direction in ("up", "down"):
        links = [getattr(profiles[name], direction) for name in order]
        assert links == sorted(links, key=lambda link: -link.rate_bps)
        assert links == sorted(links, key=lambda link: link.delay_us)


@pytest.mark.parametrize("generation", ["3g", "4g"])
def test_measured_qualities_get_slower_with_more_delay(generation: str) -> None:
    profiles = load_catalog().profiles
    for direction in ("up", "down"):
        links = [getattr(profiles[f"{generation}-{quality}"], direction) for quality in ("good", "medium", "bad")]
        assert links == sorted(links, key=lambda link: -link.rate_bps)
        assert links == sorted(links, key=lambda link: link.delay_us)
        assert all(link.jitter_us <= link.delay_us for link in links)


def test_the_catalogue_names_profiles_that_are_kinder_than_what_was_measured() -> None:
    catalog = load_catalog()
    for name, measured in (("5g", "5g-measured"), ("4g", "4g-medium")):
        assert catalog.profiles[name].up.rate_bps > 2 * catalog.profiles[measured].up.rate_bps
        assert "Kinder than measured" in str(catalog.profile_entries[name].source)


def test_every_figure_has_its_source() -> None:
    catalog = load_catalog()
    for name, entry in {**catalog.device_type_entries, **catalog.profile_entries}.items():
        assert entry.source and entry.description, name


def test_every_device_type_has_its_dockerfile(repository: Path) -> None:
    for device_type in load_catalog().device_types.values():
        assert (repository / "dockerfiles" / device_type.dockerfile / "Dockerfile").is_file()


def test_units() -> None:
    entry = ProfileEntry(bandwidth_up_kbps=1.5, bandwidth_down_kbps=2, latency_ms=0.25, packet_loss_rate=0.1)
    profile, problems = resolve_profile("x", entry)
    assert not problems
    assert profile.up == Link(rate_bps=1500, delay_us=250, jitter_us=0, loss=0.1)
    assert profile.down.rate_bps == 2000


def test_a_direction_overrides_the_common_values_and_both_override_the_base() -> None:
    base, _ = resolve_profile("base", ProfileEntry(latency_ms=100, jitter_ms=10, bandwidth_up_kbps=50))
    entry = ProfileEntry.model_validate({"latency_ms": 40, "up": {"latency_ms": 60, "jitter_ms": 0}})
    profile, problems = resolve_profile("x", entry, base)
    assert not problems
    assert profile.up == Link(rate_bps=50_000, delay_us=60_000, jitter_us=0)
    assert profile.down == Link(delay_us=40_000, jitter_us=10_000)


def test_limits_replace_only_what_they_name() -> None:
    pi = load_catalog().device_types["raspberry-pi"]
    changed = with_limits(pi, LimitsEntry(cpus=1, write_mb_per_s=0.5))
    assert (changed.cpus, changed.write_bps) == (1, 500_000)
    assert (changed.memory_bytes, changed.pids, changed.read_bps) == (pi.memory_bytes, pi.pids, None)


def test_dockerfile_is_a_bare_name_or_an_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "images" / "camera").mkdir(parents=True)
    (tmp_path / "images" / "camera" / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    entry = DeviceTypeEntry(cpus=1, memory_mb=64, network="wifi", dockerfile="images/camera")
    resolved, problems = resolve_device_type("eye", entry, folder=tmp_path)
    assert not problems and resolved is not None
    assert resolved.dockerfile == str(tmp_path / "images" / "camera")
    bare, _ = resolve_device_type("eye", entry.model_copy(update={"dockerfile": None}))
    assert bare is not None and bare.dockerfile == "eye"


@pytest.mark.parametrize("value", ["2", True, float("nan"), [1]])
def test_entries_are_strict(value: object) -> None:
    with pytest.raises(ValidationError):
        LimitsEntry.model_validate({"cpus": value})


@pytest.mark.parametrize("name", ["a", "5g", "a-b-1", "a" * 40])
def test_valid_names(name: str) -> None:
    assert explain_wrong_name(name) is None


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a.b", "a b", "a\n", "ä", "a" * 41])
def test_invalid_names(name: str) -> None:
    assert explain_wrong_name(name) is not None


@pytest.mark.parametrize("name", ["a", "5g", "iot_device", "smartphone_high", "a__b-c--d_e", "a" * 40])
def test_valid_names_of_kinds_give_names_of_devices(name: str) -> None:
    assert explain_wrong_kind(name) is None
    assert explain_wrong_name(as_device_name(name)) is None


# Docker takes none of them in the name of an image.
@pytest.mark.parametrize("name", ["", "A", "_a", "a_", "-a", "a___b", "a_-b", "a.b", "a\n", "a_b" * 14])
def test_invalid_names_of_kinds(name: str) -> None:
    assert explain_wrong_kind(name) is not None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("all", "reserved"),
        ("ip6-localhost", "IPv6"),
        ("ip6-allnodes", "IPv6"),
        ("ip6", None),
        ("7", None),
    ],
)
def test_names_by_which_a_device_would_not_be_found(name: str, why: str | None) -> None:
    explained = explain_unusable_device(name)
    assert (explained is None) is (why is None)
    assert why is None or why in str(explained)


def test_suggestions() -> None:
    known = ["network", "name", "packet_loss_rate"]
    assert suggestion("nework", known) == 'did you mean "network"?'
    assert suggestion("NAME", known) == 'did you mean "name"?'
    assert suggestion("loss", known) == 'did you mean "packet_loss_rate"?'
    assert suggestion("xyz", known) == "known: name, network, packet_loss_rate"
    assert suggestion("xyz", known, or_all=False) is None

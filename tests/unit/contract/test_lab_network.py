"""What lab hosts agree on follows from what each of them offers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.contract.device_file import Lab, LabMember
from fedsim_runner.contract.lab_network import IDS, KeyHolder, LabNetworkError, Offer, candidates, settle

LAB = Lab(hosts=(LabMember("north", "192.0.2.1"), LabMember("south", "192.0.2.2")), server="north")
FIRST, SECOND, *_ = candidates("study")


def offer(lab_host: str, ids: tuple[int, ...] = (FIRST, SECOND), mtu: int = 1500, **more: object) -> Offer:
    return replace(Offer(lab_host=lab_host, ids=ids, mtu=mtu), **more)


def test_a_run_always_asks_for_the_same_ids_and_others_for_others() -> None:
    assert candidates("study") == candidates("study")
    assert not set(candidates("study")) & set(candidates("other"))
    assert all(0 < one < 1 << 24 and one % IDS == 0 for one in candidates("study"))


def test_the_first_id_that_all_have_free_is_settled_whoever_asks() -> None:
    offers = [offer("north", (SECOND,)), offer("south", backend="netem")]
    settled = settle("study", LAB, offers)
    assert (settled.vxlan_id, settled.mtu, settled.backends) == (SECOND, 1450, {"north": None, "south": "netem"})
    assert settle("study", LAB, offers[::-1]).vxlan_id == SECOND


@pytest.mark.parametrize(("mtus", "encrypt", "settled"), [((9000, 1500), False, 1450), ((9000, 9000), False, 1500)])
def test_the_narrowest_way_settles_the_mtu_up_to_that_of_an_ethernet(
    mtus: tuple[int, int], encrypt: bool, settled: int
) -> None:
    offers = [offer(name, mtu=mtu) for name, mtu in zip(("north", "south"), mtus, strict=True)]
    assert settle("study", replace(LAB, encrypt=encrypt), offers).mtu == settled


def test_encrypted_packets_are_smaller_and_keys_are_passed_on() -> None:
    offers = [offer(name, public_key=f"key of {name}", key_port=port) for name, port in (("north", 7), ("south", 8))]
    settled = settle("study", replace(LAB, encrypt=True), offers)
    assert settled.mtu == 1500 - 50 - 80
    assert settled.keys == {"north": KeyHolder("key of north", 7), "south": KeyHolder("key of south", 8)}
    assert settle("study", LAB, offers).keys == {}


@pytest.mark.parametrize(
    ("offers", "said"),
    [
        ([offer("north")], "lab hosts south carry devices of run study"),
        ([offer("north", (FIRST,)), offer("south", (SECOND,))], "no VXLAN id .* north has 1 of 8; south has 1 of 8"),
        ([offer("north"), offer("south", mtu=600)], "lab host south .* at most 600 bytes, and 626 are needed"),
    ],
)
def test_what_lab_hosts_lack_is_named(offers: list[Offer], said: str) -> None:
    with pytest.raises(LabNetworkError, match=said):
        settle("study", LAB, offers)

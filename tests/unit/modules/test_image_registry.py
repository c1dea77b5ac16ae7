"""Images through a registry that a lab names, with an Engine that only remembers what it is asked."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, FailedError
from ansible_collections.fedsim.testbed.plugins.modules import fedsim_image_registry

REF = "fedsim/base:0123456789abcdef"
DIGEST = "sha256:" + "5" * 64


class Engine:
    """Has the images ``refs``; ``says`` is its answer to pushing and pulling."""

    timeout = 60

    def __init__(self, *refs: str, says: list[dict[str, Any]] | None = None) -> None:
        self.refs, self.says = refs, says or []
        self.asked: list[tuple[str, ...]] = []

    def images(self, filters: dict[str, Any]) -> list[dict[str, Any]]:
        labels = {"org.fedsim.image": "0123456789abcdef"}
        return [{"Id": "sha256:1", "Size": 1, "RepoTags": [ref], "Labels": labels} for ref in self.refs]

    def tag(self, image: str, repository: str, tag: str) -> None:
        self.asked.append(("tag", image, f"{repository}:{tag}"))

    def push(self, repository: str, tag: str, stream: bool, decode: bool) -> list[dict[str, Any]]:
        self.asked.append(("push", f"{repository}:{tag}"))
        return self.says

    def pull(self, source: str, stream: bool, decode: bool) -> list[dict[str, Any]]:
        self.asked.append(("pull", source))
        return self.says

    def remove_image(self, name: str, noprune: bool) -> None:
        self.asked.append(("remove", name))


def call(engine: Engine, state: str, check: bool = False, registry: str = "r.example:5000/team") -> dict[str, Any]:
    params = {"state": state, "registry": registry, "refs": [REF], "digests": {REF: DIGEST}}
    return fedsim_image_registry.work(Call(params, check, engine, print, str))


def test_push_returns_digests_and_leaves_no_other_name() -> None:
    engine = Engine(REF, says=[{"status": "Pushed"}, {"aux": {"Tag": "0123456789abcdef", "Digest": DIGEST}}])
    assert call(engine, "pushed") == {"changed": True, "digests": {REF: DIGEST}}
    name = f"r.example:5000/team/{REF}"
    assert engine.asked == [("tag", REF, name), ("push", name), ("remove", name)]


def test_pull_is_by_digest_and_leaves_no_other_name() -> None:
    engine = Engine()
    assert call(engine, "pulled") == {"changed": True}
    source = f"r.example:5000/team/fedsim/base@{DIGEST}"
    assert engine.asked == [("pull", source), ("tag", source, REF), ("remove", source)]


@pytest.mark.parametrize(("engine", "state"), [(Engine(REF), "pulled"), (Engine(), "pushed")])
def test_what_is_there_is_not_pulled_and_what_is_not_there_not_pushed(engine: Engine, state: str) -> None:
    assert call(engine, state)["changed"] is False
    assert engine.asked == []


def test_check_mode_asks_no_registry() -> None:
    engine = Engine(REF)
    assert call(engine, "pushed", check=True) == {"changed": True}
    assert engine.asked == []


def test_a_registry_that_refuses_is_explained_and_nothing_is_left() -> None:
    engine = Engine(REF, says=[{"error": "no basic auth credentials"}])
    with pytest.raises(FailedError, match=r"was not pushed at r.example:5000/team: no basic auth.*docker login"):
        call(engine, "pushed")
    assert engine.asked[-1] == ("remove", f"r.example:5000/team/{REF}")
    with pytest.raises(FailedError, match="has not confirmed"):
        call(Engine(REF), "pushed")


def test_a_url_is_not_the_name_of_a_registry() -> None:
    with pytest.raises(FailedError, match="name it without a scheme"):
        call(Engine(REF), "pushed", registry="https://r.example")

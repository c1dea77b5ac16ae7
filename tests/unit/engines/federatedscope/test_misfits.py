"""Whether a fork of FederatedScope has what our patches rely on: found in the plan, and only what is certain."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedsim_runner.engines.federatedscope import fit
from fedsim_runner.engines.federatedscope.fetched_source import refuse_unknown
from fedsim_runner.engines.federatedscope.misfits import misfits, mismatch
from fedsim_runner.engines.federatedscope.source_code import CodeError
from fedsim_runner.participant.federatedscope.course import PARTS
from fedsim_runner.participant.federatedscope.patch_names import PATCHES
from fedsim_runner.participant.federatedscope.patches import PLACES
from fedsim_runner.participant.federatedscope.upstream import MADE_FOR, Place
from tests.federatedscope import runnable_checkout

SOURCE = """
from elsewhere import borrowed, *
class Plain(object):
    def parse(self, message, more=None):
        return [self.found(one) for one in message.parts] + ["text"]
class Heir(Plain):
    pass
made = Plain.parse
if made:
    def conditional(): ...
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "federatedscope" / "core").mkdir(parents=True)
    (tmp_path / "federatedscope" / "core" / "part.py").write_text(SOURCE.replace(", *", ""), encoding="utf-8")
    return tmp_path


def at(name: str, parameters: tuple[str, ...] = (), mentions: tuple[str, ...] = ()) -> Place:
    return Place("federatedscope.core.part", name, parameters, mentions)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (at("Plain.parse", ("self", "message"), ("found", "parts", "text")), None),
        (at("Plain.parse", ("self", "received")), "it takes (self, message, more)"),
        (at("Plain.parse", ("self",), ("found", "sender", "content")), "it does not use content, sender"),
        (at("Plain.send"), "there is no send"),
        (at("Other.send"), "there is no Other"),
        (at("parse"), "there is no parse"),
        (at("Heir.parse"), None),
        (at("borrowed"), None),
        (at("made"), None),
        (at("conditional"), None),
        (Place("federatedscope.core.other", "x"), "there is no such file"),
        (Place("torch._compile", "x"), None),
    ],
    ids=str,
)
def test_only_what_the_text_of_a_file_tells_is_a_misfit(place: Place, reason: str | None, package: Path) -> None:
    assert mismatch(package, place) == reason


@pytest.mark.federatedscope
def test_upstream_fits_at_a_glance_and_a_fork_is_told_what_does_not(tmp_path: Path) -> None:
    upstream = runnable_checkout()
    places = [place for some in (*PLACES.values(), *PARTS.values()) for place in some]
    modules = {place.module for place in places if place.module.startswith("federatedscope.")}
    assert {name.removesuffix(".py").replace("/", ".") for name in fit.FILES} == {name[15:] for name in modules}
    assert fit.fits(upstream)
    assert misfits(upstream, []) == []
    for name in {*fit.FILES, *fit.DISTRIBUTED_MODE}:
        (tmp_path / "federatedscope" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(upstream / "federatedscope" / name, tmp_path / "federatedscope" / name)
    changed = tmp_path / "federatedscope" / "core" / "message.py"
    changed.write_text(changed.read_text().replace("def parse(self, received_msg)", "def parse(self, data)"))
    assert not fit.fits(tmp_path)
    assert misfits(tmp_path, []) == [
        (
            "patch hostile_messages: federatedscope.core.message.Message.parse is not what it was made for "
            "(it takes (self, data))",
            f"federatedscope.patches.hostile_messages: false switches it off or use FederatedScope {MADE_FOR}",
        )
    ]
    assert misfits(tmp_path, [*PATCHES]) == []


def test_a_source_that_is_something_else_is_one_misfit(package: Path) -> None:
    use = f"use FederatedScope {MADE_FOR}"
    without = "this is not FederatedScope, or one without its distributed mode: federatedscope/ has no"
    assert misfits(package, []) == [(f"{without} {', '.join(fit.DISTRIBUTED_MODE)}", use)]
    with pytest.raises(CodeError, match=without):  # of one that had to be fetched
        refuse_unknown({}, package)
    for name in {*fit.FILES, *fit.DISTRIBUTED_MODE} - {"core/gRPC_server.py"}:
        (package / "federatedscope" / name).parent.mkdir(parents=True, exist_ok=True)
        (package / "federatedscope" / name).touch()
    assert misfits(package, []) == [(f"{without} core/gRPC_server.py", use)]
    (package / "federatedscope/core/gRPC_server.py").touch()
    ((reason, hint),) = misfits(package, [*PATCHES])
    assert (reason.partition(":")[0], hint) == ("this is not FederatedScope, or one that was changed too much", use)
    count = len(PLACES) + len(PARTS)
    assert f"{count} of the {count} parts of the launcher do not fit it, such as patch contrib_modules: " in reason


def test_a_fork_of_an_older_version_is_told_so(package: Path) -> None:
    (package / "federatedscope/core/worker").mkdir()
    (package / "federatedscope/core/worker/server.py").touch()
    ((reason, _),) = misfits(package, [])
    assert reason.startswith("this is a FederatedScope of an older version than 0.3.0")

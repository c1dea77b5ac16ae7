"""What every engine must do, ours and those of other packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib.metadata import EntryPoint

import pytest
import yaml

from fedsim_runner.catalog import engines
from fedsim_runner.catalog.engines import engine_facts, engine_names, load_engine
from fedsim_runner.engines.course_check import refuse_unsupported
from fedsim_runner.engines.protocol import engine
from fedsim_runner.participant.__main__ import ENGINES
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.testbed.docker.images import LayerSources, plan_layers
from tests.builders import experiment, lab_host


class NoSource:
    """Stands in for what an engine's image installs."""

    def identity(self) -> str:
        return "x"

    def wheel(self) -> None:
        raise AssertionError("nobody builds")

    def refuse(self, config: Mapping[str, object]) -> None:
        raise AssertionError("nobody builds")


@pytest.mark.parametrize("name", engine_names())
class TestEngine:
    def test_it_has_its_name_and_can_be_started(self, name: str) -> None:
        facts = engine_facts(name)
        assert facts.name == name
        assert facts.start_cpu_s > 0
        assert facts.least_pids(10) <= facts.least_pids(1000)
        if facts.program is None:
            assert name in ENGINES
        else:
            assert importlib.util.find_spec(facts.program) is not None

    def test_its_image_is_built_on_the_base(self, name: str) -> None:
        sources = LayerSources.installed(sources={name: NoSource()})
        layers = plan_layers({f"raspberry-pi-{name}": "amd64"}, sources)
        assert layers[0].name == "base"
        assert [layer.name for layer in layers][-2:] == [f"engine-{name}", f"raspberry-pi-{name}"]

    def test_its_files_hold_the_configuration(self, name: str) -> None:
        config = {"federate": {"total_round_num": 3}}
        files = engine(name).files(config)
        assert yaml.safe_load(files["config.yaml"]) == config
        assert not {"launcher.json", "shard.npz"} & set(files)


def test_an_engine_that_is_not_installed_is_named_with_those_that_are() -> None:
    with pytest.raises(LookupError, match="engine heavy is not installed; installed are light, federatedscope"):
        load_engine("heavy")


def test_only_engines_that_run_in_a_course_check_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("no device runs it")

    monkeypatch.setattr(type(engine("federatedscope")), "check_config", fail)
    refuse_unsupported(make_plan(experiment(clients=2), [lab_host(cpus=64)], "study"))


def test_a_broken_package_is_named_where_it_is_used_and_affects_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {**engines._find_engines(), "broken": EntryPoint("broken", "no_such_module:ENGINE", engines.GROUP)}
    monkeypatch.setattr(engines, "_find_engines", lambda: found)
    assert engine_names() == ("light", "federatedscope", "broken")
    assert [facts.name for facts in engines.usable_engines()] == ["light", "federatedscope"]
    with pytest.raises(LookupError, match="engine broken cannot be loaded from no_such_module:ENGINE: No module named"):
        engine_facts("broken")

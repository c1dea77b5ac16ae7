"""The JSON Schema, the reference page and the examples agree with the models."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from fedsim_runner.runs.experiment_file import load_experiment
from fedsim_runner.spec.__main__ import main, schema_text
from fedsim_runner.spec.json_schema import json_schema
from fedsim_runner.spec.reference import describe_value, reference

REPOSITORY = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))
GOOD = sorted((REPOSITORY / "tests/golden/specs/good").glob("*.yaml"))
Golden = Callable[[Path, str], None]

# How editors' YAML readers interpret these words is not in our hands.
ODD = {"odd-names"}


def named(paths: list[Path]) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in paths]


@functools.cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema())


def test_schema_file_is_up_to_date(repository: Path, golden: Golden) -> None:
    golden(repository / "docs/experiment.schema.json", schema_text())


def test_reference_page_is_up_to_date(repository: Path, golden: Golden) -> None:
    golden(repository / "docs/spec.md", reference())


def test_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", named([*EXAMPLES, *(path for path in GOOD if path.stem not in ODD)]))
def test_schema_accepts_what_loads(path: Path) -> None:
    validator().validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", named(EXAMPLES))
def test_examples_load(path: Path) -> None:
    experiment = load_experiment(path)
    assert experiment.name == path.stem.removesuffix(".fedsim")
    assert experiment.clients
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=../docs/")


@pytest.mark.parametrize(
    "change",
    [
        {"sede": 3},
        {"devices": [{"type": "edge-server", "nework": "5g"}]},
        {"devices": [{"type": "edge-server", "count": 0}]},
        {"devices": [{"type": "edge-server", "name": "No_Name"}]},
        {"network": {"profiles": {"slow": {"packet_loss_rate": 1}}}},
        {"network": {"profiles": {"No_Name": {}}}},
        {"seed": None},
        {"course": {"timeout": "30min"}},
        {"network_profiles": {"_slow": {"latency_ms": 3}}},
        {"federatedscope": {"config": {"federate": {}}}},
    ],
    ids=str,
)
def test_schema_rejects(change: dict[str, Any]) -> None:
    quickstart = yaml.safe_load((REPOSITORY / "examples/quickstart.yaml").read_text(encoding="utf-8"))
    assert validator().is_valid(quickstart)
    assert not validator().is_valid({**quickstart, **change})


def test_reference_names_every_key() -> None:
    page = reference()
    schema = json_schema()
    for entry in (schema, *schema["$defs"].values()):
        for key in entry["properties"]:
            assert f"| `{key}` |" in page
            assert entry["properties"][key].get("description"), f"{key} has no description"


NUMBER = {"type": "number", "minimum": 0}
NAMED = {"type": "object", "patternProperties": {"^[a-z]+$": {"$ref": "#/$defs/RegionEntry"}}}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (NUMBER, "number >= 0"),
        ({"type": "boolean"}, "`true` or `false`"),
        ({"enum": ["a", "b", "c"]}, "`a`, `b` or `c`"),
        ({"oneOf": [{"enum": ["a", "b"]}, NAMED]}, "`a`, `b` or mapping of names to [mappings](#regions)"),
        ({"type": "array", "items": {"type": "string"}}, "list of text"),
        ({"type": "array", "items": {"type": "array", "items": NUMBER}}, "list of lists of numbers >= 0"),
        ({"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}, "list of 2 numbers >= 0"),
        ({"type": "array", "items": NAMED}, "list of mappings of names to [mappings](#regions)"),
        ({"anyOf": [{"type": "array", "items": NUMBER}, NUMBER]}, "list of numbers >= 0, or number >= 0"),
        ({"type": "object", "additionalProperties": True}, "mapping"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "mapping of names to `true` or `false`"),
        ({"type": "object", "patternProperties": {"^[a-z]+$": {"type": "array", "items": NUMBER}}},
         "mapping of names to lists of numbers >= 0"),
        ({"type": "object", "additionalProperties": NAMED},
         "mapping of names to mappings of names to [mappings](#regions)"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)  # fmt: skip
def test_reference_says_what_a_key_takes(value: dict[str, Any], words: str) -> None:
    assert describe_value(value) == words


def test_quickstart_has_a_link_with_rate_and_delay_on_every_device(repository: Path) -> None:
    experiment = load_experiment(repository / "examples/quickstart.yaml")
    assert experiment.total_rounds == 10
    assert len({device.network.name for device in experiment.devices}) == len(experiment.devices) == 5
    for device in experiment.devices:
        for link in (device.network.up, device.network.down):
            assert link.rate_bps and link.delay_us


def test_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "fedsim-runner experiment"
    assert main(["reference"]) == 0
    assert capsys.readouterr().out == reference()
    assert main(["check", *map(str, EXAMPLES)]) == 0
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("sede: 3\n", encoding="utf-8")
    assert main(["check", str(EXAMPLES[0]), str(wrong)]) == 2
    assert 'sede: unknown key (did you mean "seed"?)' in capsys.readouterr().err
    assert main([]) == 2

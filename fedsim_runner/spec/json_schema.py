"""The experiment file as JSON Schema, so that editors complete and check it."""

from __future__ import annotations

from typing import Any

from ..catalog.load import load_catalog
from .schema import ExperimentFile


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an experiment file.

    It covers keys, types and limits; only `parse_draft` checks what depends on the whole file or the catalogue.
    """
    schema = _without_null(ExperimentFile.model_json_schema())
    network = schema["$defs"]["NetworkSection"]
    for holder, key in ((schema, "device_types"), (schema, "network_profiles"), (network, "profiles")):
        holder["properties"][key]["additionalProperties"] = False
    entries = schema["$defs"]
    catalog = load_catalog()
    for entry, key, examples in (
        ("DeviceEntry", "type", catalog.device_types),
        ("DeviceTypeEntry", "based_on", catalog.device_types),
        ("DeviceTypeEntry", "network", catalog.profiles),
        ("ProfileEntry", "based_on", catalog.profiles),
        ("DeviceEntry", "network", catalog.profiles),
        ("EventEntry", "network", catalog.profiles),
    ):
        entries[entry]["properties"][key]["examples"] = list(examples)
    section = entries["FederatedScopeSection"]
    section["properties"]["config"] |= {
        "properties": {
            "federate": {"type": "object", "properties": {"total_round_num": {"type": "integer", "minimum": 1}}}
        },
    }
    # Beside a file, config has only what differs from it.
    whole = {"required": ["federate"], "properties": {"federate": {"required": ["total_round_num"]}}}
    section["if"] = {"not": {"required": ["config_file"]}}
    section["then"] = {"properties": {"config": whole}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "fedsim-runner experiment",
    }


def _without_null(value: Any) -> Any:
    """Remove null from the types: optional keys may be left out, but a key that is given needs a value."""
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: _without_null(below) for key, below in value.items()}
    if isinstance(value.get("title"), str) and ("type" in value or "anyOf" in value or "enum" in value):
        result.pop("title")  # pydantic's titles only repeat the keys
    options = result.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        others = [option for option in options if option != {"type": "null"}]
        del result["anyOf"]
        if result.get("default", 0) is None:
            del result["default"]
        result = {**others[0], **result} if len(others) == 1 else {"anyOf": others, **result}
    return result

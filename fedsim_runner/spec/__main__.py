"""``python -m fedsim_runner.spec``: print the generated files of docs/, or check experiment files on their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..yamlfile.spec_errors import SpecErrors
from .json_schema import json_schema
from .load import read_draft
from .reference import reference

USAGE = "usage: python -m fedsim_runner.spec schema | reference | check FILE..."


def main(arguments: list[str]) -> int:
    """Return the exit code: 0, or 2 for a wrong experiment file or a wrong command line."""
    match arguments:
        case ["schema"]:
            sys.stdout.write(schema_text())
        case ["reference"]:
            sys.stdout.write(reference())
        case ["check", *files] if files:
            return max(_check(Path(file)) for file in files)
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


def schema_text() -> str:
    """The JSON Schema, as in docs/experiment.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _check(file: Path) -> int:
    try:
        read_draft(file).finish()
    except SpecErrors as errors:
        print(errors, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

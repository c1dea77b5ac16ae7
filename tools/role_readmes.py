"""Write each role's README from its argument_specs, or check that they match.

python tools/role_readmes.py            # write
python tools/role_readmes.py --check    # exit 1 and name the READMEs that differ
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"


def render(name: str, specs: dict[str, Any]) -> str:
    """Return the README of a role."""
    lines = [f"# Role {name}", "", "Written by `tools/role_readmes.py` from `meta/argument_specs.yml`."]
    for entry, spec in specs["argument_specs"].items():
        if entry != "main":
            lines += ["", f"## Entry point `{entry}`"]
        lines += ["", f"{spec['short_description']}.", ""]
        lines += [f"- {_to_markdown(text)}" for text in _texts(spec.get("description"))]
        lines += ["", "| variable | type | default | meaning |", "|---|---|---|---|"]
        for variable, option in sorted(spec.get("options", {}).items()):
            default = "required" if option.get("required") else _default(option)
            meaning = " ".join(_to_markdown(text) for text in _texts(option["description"])).replace("|", "\\|")
            lines.append(f"| `{variable}` | {option['type']} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def render_all() -> dict[Path, str]:
    """Return the text of each README by its path."""
    return {
        path.parent.parent / "README.md": render(path.parent.parent.name, yaml.safe_load(path.read_text("utf-8")))
        for path in sorted(ROLES.glob("*/meta/argument_specs.yml"))
    }


def _default(option: dict[str, Any]) -> str:
    return f"`{option['default']!r}`" if "default" in option else "see `defaults/main.yml`"


def _texts(description: str | list[str] | None) -> list[str]:
    return [description] if isinstance(description, str) else list(description or [])


def _to_markdown(text: str) -> str:
    """Return Ansible's C(...) as Markdown."""
    result, rest = "", text
    while "C(" in rest:
        before, _, rest = rest.partition("C(")
        inside, _, rest = rest.partition(")")
        result += f"{before}`{inside}`"
    return result + rest


def main() -> int:
    texts = render_all()
    different = [path for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in different:
            print(f"{path} differs: run python tools/role_readmes.py")
        return 1 if different else 0
    for path in different:
        path.write_text(texts[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

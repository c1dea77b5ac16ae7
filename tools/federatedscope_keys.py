"""Write fedsim_runner/catalog/federatedscope_keys.yaml: the keys of a FederatedScope checkout with their defaults.

python tools/federatedscope_keys.py CHECKOUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from fedsim_runner.engines.federatedscope.keys import read_keys

TARGET = Path(__file__).resolve().parent.parent / "fedsim_runner" / "catalog" / "federatedscope_keys.yaml"
HEAD = """\
# Written by `python tools/federatedscope_keys.py CHECKOUT`: the keys of FederatedScope v0.3.0 (commit 480b67d),
# with their defaults. "+": other keys may be added to that section.
"""


class _Indented(yaml.SafeDumper):
    """Indents lists below their key, as yamllint wants them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def main() -> None:
    """Write the file from the checkout that the command line names."""
    tree = read_keys(Path(sys.argv[1])).as_tree()
    TARGET.write_text(HEAD + yaml.dump(tree, Dumper=_Indented, default_flow_style=False), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Start and stop lab hosts by hand; README.md shows how.

python -m tests.lab.lab_hosts up 3 --folder DIR
python -m tests.lab.lab_hosts run --folder DIR [-- COMMAND ...]
python -m tests.lab.lab_hosts console HOST --folder DIR [-- COMMAND ...]
python -m tests.lab.lab_hosts down --folder DIR
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from . import lab as labs
from .program import LabError
from .rootfs import RELEASES

EXIT_FAILED = 1


def main() -> int:
    """The command line."""
    # argparse takes no words of a command that come after an option and a word before it: HOST --folder DIR -- COMMAND.
    words, command = _split(sys.argv[1:])
    options = _parser().parse_args(words)
    options.command = command
    try:
        return int(options.work(options))
    except LabError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """What is before ``--``, and the command after it."""
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end + 1 :]


def _up(options: argparse.Namespace) -> int:
    lab = labs.up(options.folder, options.count, sdk=options.sdk, images=options.image, release=options.release)
    print(f"{len(lab.hosts)} lab hosts are up: {', '.join(f'{h.name} {h.address}' for h in lab.hosts)}")
    print(f"inventory: {lab.inventory(options.user)}")
    if options.user == "alice":
        print(f"sudo's password: in {lab.access.password_file}")
    folder = f"--folder {options.folder}"
    print(f"a command of the control node: python -m tests.lab.lab_hosts run {folder} -- COMMAND")
    print(f"remove them: python -m tests.lab.lab_hosts down {folder}")
    return 0


def _run(options: argparse.Namespace) -> int:
    lab = labs.load(options.folder)
    return subprocess.run(lab.on_control_node(options.command or ["bash"]), check=False).returncode


def _console(options: argparse.Namespace) -> int:
    host = labs.load(options.folder)[options.host]
    return subprocess.run([*host.enter, *(options.command or ["bash", "-l"])], check=False).returncode


def _down(options: argparse.Namespace) -> int:
    if options.all:
        numbers = labs.down_all()
        print(f"removed {len(numbers)} labs")
        return 0
    if options.folder is None:
        raise LabError("which lab? --folder DIR, or --all")
    labs.down(labs.load(options.folder))
    print("removed; the folder with the keys stays")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.lab_hosts", description="Lab hosts in containers.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    up = verbs.add_parser("up", help="start lab hosts, and print where their inventory is")
    up.add_argument("count", type=int, help="how many")
    up.add_argument("--folder", type=Path, required=True, help="an empty or new folder for keys and inventory")
    up.add_argument(
        "--user", choices=["root", "ops", "alice"], default="root",
        help="who logs in: root (default), ops with sudo, or alice whom sudo asks for a password",
    )  # fmt: skip
    up.add_argument("--sdk", action="store_true", help="with the Docker SDK for Python (python3-docker)")
    up.add_argument("--image", action="append", default=[], metavar="REF", help="an image that they have at once")
    up.add_argument("--release", choices=RELEASES, default=RELEASES[0], help="of Debian (default: %(default)s)")
    up.set_defaults(work=_up)

    after = "A command comes after --; without one it is a shell."
    run = verbs.add_parser(
        "run", help="run a command, or a shell, on the control node's side of the lab's network", epilog=after
    )
    run.add_argument("--folder", type=Path, required=True)
    run.set_defaults(work=_run)

    console = verbs.add_parser(
        "console", help="run a command, or a shell, on a lab host as its root, without SSH", epilog=after
    )
    console.add_argument("host", help="its name, such as lab1")
    console.add_argument("--folder", type=Path, required=True)
    console.set_defaults(work=_console)

    down = verbs.add_parser("down", help="remove a lab; its folder stays")
    down.add_argument("--folder", type=Path)
    down.add_argument("--all", action="store_true", help="all labs of this machine, whoever has started them")
    down.set_defaults(work=_down)
    return parser


if __name__ == "__main__":
    sys.exit(main())

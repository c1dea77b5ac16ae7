"""What a lab of several hosts costs.

    python -m benchmarks.lab data-plane [--seconds S] [--pairs N]
    python -m benchmarks.lab images [--engine NAME] [--pairs N]
    python -m benchmarks.lab provisioning [--hosts N] [--devices N] [--pairs N]

data-plane: three lab hosts in network namespaces, whose agents join them as those of a run do. Nothing shapes the links
of their devices, so what differs from raw is VXLAN, bridge and veth pairs. As root, without Docker, on a machine on
which nothing else computes.

images: a lab host in a container, which gets the images of the machine's Engine (`fedsim-provision images` builds them)
over SSH, with Docker's own commands and as in a run, and builds device types.

provisioning: lab hosts in containers, which get a run's devices up to the closed gate, and as many bare containers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .lab_figures import data_plane

SECONDS, PAIRS = 2.0, 5
COLLECTIONS = Path(__file__).resolve().parent.parent / "collections"


def main() -> int:
    """Measure, and print a table and whether figures are within their limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("data-plane", help="devices on different lab hosts against the lab hosts themselves")
    part.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement of throughput")
    part.add_argument("--pairs", type=int, default=PAIRS, help="raw and joined measurements, one after the other")
    part = parts.add_parser("images", help="how images reach a lab host")
    part.add_argument("--engine", default="light", help="whose images")
    part.add_argument("--pairs", type=int, default=PAIRS, help="Docker's way and ours, one after the other")
    part = parts.add_parser("provisioning", help="`up` on several lab hosts against bare Docker on them")
    part.add_argument("--hosts", type=int, default=3, help="how many lab hosts")
    part.add_argument("--devices", type=int, default=90, help="of the run")
    part.add_argument("--pairs", type=int, default=3, help="ours and bare Docker, one after the other")
    options = parser.parse_args()
    if options.part == "images":
        sys.path.insert(0, str(COLLECTIONS))  # modules are imported as Ansible does it
        from .lab_figures import images

        return images.measure(options.engine, options.pairs)
    if options.part == "provisioning":
        from .lab_figures import provisioning

        return provisioning.measure(options.hosts, options.devices, options.pairs)
    return data_plane.measure(options.seconds, options.pairs)


if __name__ == "__main__":
    sys.exit(main())

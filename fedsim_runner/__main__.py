"""``python -m fedsim_runner``: the same as ``fedsim-provision``."""

from .cli import main

if __name__ == "__main__":
    main()

"""Stylise photographs: the same as ``fast-nst stylize``."""

import sys

from fast_nst.cli.main import main

if __name__ == "__main__":
    main(["stylize", *sys.argv[1:]])

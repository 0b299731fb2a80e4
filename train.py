"""Train a style: the same as ``fast-nst train``."""

import sys

from fast_nst.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])

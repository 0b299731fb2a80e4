"""Write a checkpoint as an ONNX model: the same as ``fast-nst export``."""

import sys

from fast_nst.cli.main import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])

"""``python -m fast_nst``: the same as ``fast-nst``."""

from fast_nst.cli import main

main()

"""``python -m fast_nst``: the same as ``fast-nst``."""

from fast_nst.cli.main import main

main()

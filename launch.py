"""The command line from a checkout: `python launch.py VERB ...`. The same as `jaxgan VERB ...` once installed."""

import sys

import experiments  # noqa: F401  Registers them.
from jaxgan.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The command line from a checkout: `python launch.py VERB ...`. The same as `jaxgan VERB ...` once installed."""

import signal
import sys

if __name__ == "__main__":  # Until `main` begins, Ctrl-C ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import experiments  # noqa: F401  Registers them.
from jaxgan.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

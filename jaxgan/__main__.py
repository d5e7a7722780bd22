"""`python -m jaxgan` is the command `jaxgan`."""

import sys

from jaxgan.cli.main import main

sys.exit(main(sys.argv[1:]))

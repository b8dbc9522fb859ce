"""``python -m neurogrid_coordinator.reading``: started by `readers.Readers`, not by hand."""

import sys

from .process import main

sys.exit(main(sys.argv[1:]))

"""``python -m neurogrid_coordinator.market``: started by `client.MarketClient`, not by hand."""

import sys

from .process import main

sys.exit(main(sys.argv[1:]))

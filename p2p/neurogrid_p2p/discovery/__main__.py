"""``python -m neurogrid_p2p.discovery``: started by `child.Discovery`, not by hand."""

import sys

from .process import main

sys.exit(main())

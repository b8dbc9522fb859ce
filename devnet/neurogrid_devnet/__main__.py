"""``python -m neurogrid_devnet DIR``: the supervisor in the background; `devnet up --detach` starts it."""

import logging
import sys
from pathlib import Path

from .errors import DevnetError
from .layout import Layout
from .network_file import Network
from .run import run_devnet


def main() -> int:
    """Run the devnet in DIR, whose settings are written already."""
    logging.basicConfig(
        level="INFO", format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stdout
    )
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    log = logging.getLogger("neurogrid_devnet")
    layout = Layout(Path(sys.argv[1]))

    def ready(network: Network) -> None:
        log.info("ready at %s", network.api_url)

    try:
        with layout.locked():
            settings = layout.read_settings()
            if settings is None:
                raise DevnetError(f"{layout.root} was not made by `neurogrid devnet up`")
            run_devnet(layout, settings, tell=log.info, ready=ready)
    except DevnetError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

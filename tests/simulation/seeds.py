"""How many seeds a run tries: few each time, and in `make nightly`, which sets SEEDS_FACTOR, so many times more."""

import os

_FACTOR = int(os.environ.get("SEEDS_FACTOR", "1"))


def seeds(count: int) -> range:
    """So many, or their multiple."""
    return range(count * _FACTOR)

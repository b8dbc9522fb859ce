"""chain.json: which market on which chain, as its operator publishes it and `neurogrid submit --direct` takes it."""

from pathlib import Path

import msgspec

from neurogrid_marketplace import base58
from neurogrid_marketplace.errors import InvalidValue

from .client_review import Market
from .errors import ConfigurationError


class _Chain(msgspec.Struct):
    """The part that signing needs."""

    program_id: str
    usdc_mint: str
    admin: str


def read_market(path: Path) -> Market:
    """The market that a file names.

    Raises:
        ConfigurationError: it can't be read, or names none.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Chain)
        for address in (found.program_id, found.usdc_mint, found.admin):
            base58.decode(address, 32)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    except (msgspec.DecodeError, InvalidValue) as error:
        raise ConfigurationError(f"{path} names no market: {error}") from error
    return Market(found.program_id, found.usdc_mint, found.admin)

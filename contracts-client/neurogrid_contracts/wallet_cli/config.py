"""``config.toml`` in the wallet folder: which chain, which currencies, what fees."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from solders.pubkey import Pubkey

from neurogrid_contracts.wallet_cli.failures import UsageRefused
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.money import parse_usdc
from neurogrid_wallet.fees import FeePolicy


class Fees(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[fees]``: as ``FeePolicy``."""

    unit_price_micro_lamports: Annotated[int, Meta(ge=0, le=10**12)] = 0
    percentile: Annotated[int, Meta(ge=1, le=100)] | None = 50
    cap_lamports: Annotated[int, Meta(ge=0, le=10**12)] = 1_000_000
    raise_percent: Annotated[int, Meta(ge=0, le=1000)] = 50
    limit_margin_percent: Annotated[int, Meta(ge=0, le=1000)] | None = 20

    def policy(self) -> FeePolicy:
        return FeePolicy(**{name: getattr(self, name) for name in self.__struct_fields__})


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every key, and its default.

    Attributes:
        chain: path of a market's file: its RPC address and program.
        rpc_url: instead of the market's; needed where there is no market.
        second_rpc_url: another operator's endpoint, for large sums.
        two_endpoints_from: the smallest sum, in USDC, on which both endpoints have to agree.
        currencies: mints by name, beside or instead of the defaults.
    """

    chain: str = ""
    rpc_url: str = ""
    second_rpc_url: str = ""
    two_endpoints_from: str = "10000"
    currencies: dict[str, str] = {}
    fees: Fees = Fees()

    def two_endpoints_from_micro_usdc(self) -> int:
        """The smallest sum for which one endpoint is not enough."""
        return parse_usdc(self.two_endpoints_from)

    def mints(self) -> dict[str, Pubkey]:
        """The configured currencies."""
        return {name: Pubkey.from_string(mint) for name, mint in self.currencies.items()}


def load_config(path: Path) -> Config:
    """Read the file; without one, the defaults.

    Raises:
        UsageRefused: it is not TOML, or a key is unknown or wrong; says which.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Config()
    try:
        config = msgspec.convert(tomllib.loads(text), Config)
        # Whatever is wrong shall be told now and here.
        config.mints()
        config.two_endpoints_from_micro_usdc()
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, InvalidValue, ValueError) as error:
        raise UsageRefused(f"{path}: {error}") from error
    return config

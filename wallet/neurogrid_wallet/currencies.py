"""The stablecoins that a wallet knows: by default USDC, and USDT on mainnet."""

from collections.abc import Mapping
from dataclasses import dataclass

from solders.pubkey import Pubkey

from neurogrid_wallet.usdc import DEVNET_MINT, MAINNET_MINT

# Source: Tether, "Supported protocols and integration guidelines".
USDT_MAINNET_MINT = Pubkey.from_string("Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB")

_CURRENCIES_MAX = 16


@dataclass(frozen=True, slots=True)
class Currency:
    """A token with six decimals; its amounts are in millionths, as micro-USDC are.

    Attributes:
        name: for people, as in "USDC".
        mint: SPL Token, not Token-2022.
    """

    name: str
    mint: Pubkey


_MAINNET = (Currency("USDC", MAINNET_MINT), Currency("USDT", USDT_MAINNET_MINT))
_DEVNET = (Currency("USDC", DEVNET_MINT),)


def currencies_of(
    market_mint: Pubkey | None, configured: Mapping[str, Pubkey]
) -> tuple[Currency, ...]:
    """What a wallet holds on a chain: the market's currency first.

    The market's mint tells the cluster. A mint that is of no public cluster is a local ledger's
    USDC, unless the configuration names it otherwise.

    Args:
        market_mint: what escrows are paid in; None: no market, so mainnet's.
        configured: by name; replaces the default of the same name.
    """
    known = next(
        (
            cluster
            for cluster in (_MAINNET, _DEVNET)
            if market_mint is None or any(market_mint == entry.mint for entry in cluster)
        ),
        (),
    )
    by_name = {entry.name: entry for entry in known}
    by_name |= {name: Currency(name, mint) for name, mint in configured.items()}
    found = list(by_name.values())[:_CURRENCIES_MAX]
    if market_mint is not None:
        if all(entry.mint != market_mint for entry in found):
            found = [Currency("USDC", market_mint)] + [e for e in found if e.name != "USDC"]
        found.sort(key=lambda entry: entry.mint != market_mint)
    return tuple(found)

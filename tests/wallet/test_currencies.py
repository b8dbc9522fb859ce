from solders.pubkey import Pubkey

from neurogrid_wallet.currencies import USDT_MAINNET_MINT, currencies_of
from neurogrid_wallet.usdc import DEVNET_MINT, MAINNET_MINT

LOCAL = Pubkey(b"l" * 32)
OTHER = Pubkey(b"o" * 32)


def _names(market_mint: Pubkey | None, **configured: Pubkey) -> dict[str, Pubkey]:
    return {entry.name: entry.mint for entry in currencies_of(market_mint, configured)}


def test_mainnet_has_two_and_the_others_one() -> None:
    both = {"USDC": MAINNET_MINT, "USDT": USDT_MAINNET_MINT}
    assert _names(None) == both
    assert _names(MAINNET_MINT) == both
    assert _names(DEVNET_MINT) == {"USDC": DEVNET_MINT}
    assert _names(LOCAL) == {"USDC": LOCAL}


def test_the_markets_currency_comes_first() -> None:
    assert next(iter(_names(USDT_MAINNET_MINT))) == "USDT"
    assert list(_names(OTHER, USDC=LOCAL, USDT=OTHER)) == ["USDT", "USDC"]


def test_a_second_mint_is_a_matter_of_configuration() -> None:
    assert _names(LOCAL, USDT=OTHER) == {"USDC": LOCAL, "USDT": OTHER}
    assert _names(None, USDT=OTHER) == {"USDC": MAINNET_MINT, "USDT": OTHER}


def test_the_markets_currency_cannot_be_configured_away() -> None:
    assert _names(LOCAL, USDC=OTHER) == {"USDC": LOCAL}

"""What somebody has, for programs."""

from typing import Any

from neurogrid_contracts.client_money import Standing
from neurogrid_marketplace.money import format_usdc


def client_fields(standing: Standing) -> dict[str, Any]:
    """The client account for programs."""
    client = standing.client
    assert client is not None, "asked for where there is one"
    return {
        "balance": format_usdc(client.balance_micro_usdc),
        "available": format_usdc(client.available_micro_usdc),
        "locked": format_usdc(client.locked_micro_usdc),
        "spent": format_usdc(client.spent_micro_usdc),
        "open_escrows": client.open_escrows,
    }


def amounts(tokens_micro: dict[str, int]) -> dict[str, str]:
    """Amounts by currency, as decimals."""
    return {name: format_usdc(micro) for name, micro in tokens_micro.items()}

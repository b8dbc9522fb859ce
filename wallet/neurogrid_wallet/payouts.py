"""USDC transfers as payments of a run; see ``payout_run.py``."""

from solders.pubkey import Pubkey

from neurogrid_wallet.batches import Payout
from neurogrid_wallet.usdc import pay, token_address, transfer

# Where SPL Token's first version still runs, a transfer takes 6,200 units and creating an account
# 27,000 with the search for its address; p-token takes a tenth.
_TRANSFER_UNITS = 8_000
_CREATE_UNITS = 40_000
# CreateIdempotent calls: the size of an account, create (three calls where somebody sent SOL there
# before), its owner made immutable, initialize.
_CREATE_CALLS = 6


def to_token_account(
    payout_id: str, owner: Pubkey, destination: Pubkey, mint: Pubkey, amount_micro_usdc: int
) -> Payout:
    """Pay into a token account that exists; nineteen fit a transaction, 54 with a lookup table.

    Args:
        owner: whose associated token account pays; signs.

    Raises:
        ValueError: the amount is out of bounds.
    """
    move = transfer(token_address(owner, mint), destination, owner, mint, amount_micro_usdc)
    return Payout(payout_id, (move,), _TRANSFER_UNITS, 1, amount_micro_usdc)


def to_wallet(
    payout_id: str,
    payer: Pubkey,
    owner: Pubkey,
    recipient: Pubkey,
    mint: Pubkey,
    amount_micro_usdc: int,
) -> Payout:
    """Pay a wallet that may have no token account yet; ``payer`` then pays its rent.

    Raises:
        ValueError: the amount is out of bounds.
    """
    instructions = pay(payer, owner, recipient, mint, amount_micro_usdc)
    return Payout(
        payout_id,
        tuple(instructions),
        _TRANSFER_UNITS + _CREATE_UNITS,
        2 + _CREATE_CALLS,
        amount_micro_usdc,
    )

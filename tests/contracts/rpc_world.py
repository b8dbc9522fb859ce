"""What tests of the ledger's RPC share: how settled they ask, how they send and pay."""

import json
from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from spl.token.instructions import get_associated_token_address, transfer_checked
from spl.token.models import TransferCheckedParams

from contracts.ledger_world import World, base64_text
from neurogrid_contracts.ledger.tokens import TOKEN_PROGRAM

CONFIRMED = {"commitment": "confirmed"}
BASE64 = {"commitment": "confirmed", "encoding": "base64"}
USDC = 10**6


def send(world: World, raw: bytes, **options: Any) -> Any:
    config = {"encoding": "base64", "preflightCommitment": "confirmed", **options}
    return world.call("sendTransaction", base64_text(raw), config)


def usdc_payment(world: World, amount: int = 3 * USDC) -> tuple[Keypair, Pubkey, str]:
    """The payer, the payee, and the signature of a USDC payment between them."""
    payer, to = world.rich(), Keypair().pubkey()
    mint = world.ledger.genesis.usdc_mint
    world.call("neurogrid_requestUsdc", str(payer.pubkey()), 10 * USDC)
    world.call("neurogrid_requestUsdc", str(to), 1)
    pay = transfer_checked(
        TransferCheckedParams(
            program_id=TOKEN_PROGRAM,
            source=get_associated_token_address(payer.pubkey(), mint),
            mint=mint,
            dest=get_associated_token_address(to, mint),
            owner=payer.pubkey(),
            amount=amount,
            decimals=6,
        )
    )
    signature = send(world, world.sign([pay], payer))
    assert isinstance(signature, str)
    return payer, to, signature


def wrapped(result: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result})

"""One ledger for all interoperability suites, with a market of our program on it."""

import json
from collections.abc import Sequence
from pathlib import Path

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from contracts.ledger_process import LedgerProcess
from contracts.ledger_world import SOL, base64_text
from contracts.program_parties import DOMAIN, TERMS
from neurogrid_contracts import instructions
from neurogrid_contracts.deployment import Deployment

CONFIRMED = {"commitment": "confirmed"}
_IDL = Path(__file__).parents[2] / "contracts-client/program/idl.json"


def send(ledger: LedgerProcess, orders: Sequence[Instruction], *signers: Keypair) -> str:
    """Sign and send; the signature of the transaction, which the first signer pays."""
    latest = ledger.call("getLatestBlockhash", CONFIRMED)["value"]["blockhash"]
    message = MessageV0.try_compile(signers[0].pubkey(), orders, [], Hash.from_string(latest))
    raw = bytes(VersionedTransaction(message, signers))
    options = {"encoding": "base64", "preflightCommitment": "confirmed"}
    return str(ledger.call("sendTransaction", base64_text(raw), options))


def create_market(ledger: LedgerProcess) -> Pubkey:
    """The admin of a new market."""
    admin = Keypair()
    ledger.call("requestAirdrop", str(admin.pubkey()), SOL)
    ledger.call("neurogrid_requestUsdc", str(admin.pubkey()), 1)
    deployment = Deployment(
        Pubkey.from_string(ledger.info["program_id"]),
        Pubkey.from_string(ledger.info["usdc_mint"]),
        admin.pubkey(),
    )
    order = instructions.init_config(
        deployment,
        treasury=deployment.token_account(admin.pubkey()),
        arbiter=admin.pubkey(),
        domain=DOMAIN,
        terms=TERMS,
    )
    send(ledger, [order], admin)
    return admin.pubkey()


def describe(ledger: LedgerProcess, market_admin: Pubkey) -> str:
    """What tests/interop/js/ledger.mjs reads."""
    return json.dumps(
        {
            **ledger.info,
            "market_admin": str(market_admin),
            "idl": json.loads(_IDL.read_text()),
        }
    )

"""Test money: SOL and the local USDC, handed out in ordinary signed transactions.

On mainnet none of this exists; on devnet only ``requestAirdrop`` does.
"""

import itertools
import os

from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from neurogrid_contracts.ledger.errors import invalid_params
from neurogrid_contracts.ledger.genesis import LAMPORTS_PER_SOL, USDC_DECIMALS
from neurogrid_contracts.ledger.ledger import Commitment, Ledger
from neurogrid_contracts.ledger.tokens import TOKEN_PROGRAM

ASSOCIATED_TOKEN_PROGRAM = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
_MEMO_PROGRAM = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
# Per call. Enough for any test in one call, and far from overflowing a balance by mistake.
AIRDROP_LAMPORTS_MAX = 100_000 * LAMPORTS_PER_SOL
USDC_GRANT_MICRO_USDC_MAX = 10_000_000 * 10**USDC_DECIMALS


class Faucet:
    """Signs with the ledger's faucet key. Runs on the owner thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # Two equal grants in one slot must be two transactions; so each carries its own memo.
        self._series = os.urandom(4).hex()
        self._numbers = itertools.count(1)

    def send_sol(self, to: Pubkey, lamports: int) -> Signature:
        """Give ``lamports`` to ``to``.

        Raises:
            RpcError: more than ``AIRDROP_LAMPORTS_MAX``, or the transfer fails.
        """
        _check_amount("lamports", lamports, AIRDROP_LAMPORTS_MAX)
        payer = self._ledger.genesis.faucet.pubkey()
        return self._send(
            transfer(TransferParams(from_pubkey=payer, to_pubkey=to, lamports=lamports))
        )

    def send_usdc(self, owner: Pubkey, amount_micro_usdc: int) -> Signature:
        """Mint to the associated token account of ``owner``, and create it when there is none.

        Raises:
            RpcError: more than ``USDC_GRANT_MICRO_USDC_MAX``, or the mint refuses.
        """
        _check_amount("amount_micro_usdc", amount_micro_usdc, USDC_GRANT_MICRO_USDC_MAX)
        payer = self._ledger.genesis.faucet.pubkey()
        usdc = self._ledger.genesis.usdc_mint
        account = associated_token_account(owner, usdc)
        create = Instruction(
            ASSOCIATED_TOKEN_PROGRAM,
            b"\x01",  # CreateIdempotent
            [
                AccountMeta(payer, is_signer=True, is_writable=True),
                AccountMeta(account, is_signer=False, is_writable=True),
                AccountMeta(owner, is_signer=False, is_writable=False),
                AccountMeta(usdc, is_signer=False, is_writable=False),
                AccountMeta(SYSTEM_PROGRAM, is_signer=False, is_writable=False),
                AccountMeta(TOKEN_PROGRAM, is_signer=False, is_writable=False),
            ],
        )
        mint_to = Instruction(
            TOKEN_PROGRAM,
            b"\x0e" + amount_micro_usdc.to_bytes(8, "little") + bytes([USDC_DECIMALS]),
            [
                AccountMeta(usdc, is_signer=False, is_writable=True),
                AccountMeta(account, is_signer=False, is_writable=True),
                AccountMeta(payer, is_signer=True, is_writable=False),
            ],
        )
        return self._send(create, mint_to)

    def _send(self, *instructions: Instruction) -> Signature:
        faucet = self._ledger.genesis.faucet
        memo = Instruction(
            _MEMO_PROGRAM, f"faucet {self._series} {next(self._numbers)}".encode(), []
        )
        blockhash, _ = self._ledger.blockhash_at(Commitment.CONFIRMED)
        message = MessageV0.try_compile(faucet.pubkey(), [*instructions, memo], [], blockhash)
        return self._ledger.send(
            bytes(VersionedTransaction(message, [faucet])),
            preflight_commitment=Commitment.CONFIRMED,
        )


def associated_token_account(owner: Pubkey, token_mint: Pubkey) -> Pubkey:
    """The address at which ``owner`` holds tokens of ``token_mint``."""
    address, _ = Pubkey.find_program_address(
        [bytes(owner), bytes(TOKEN_PROGRAM), bytes(token_mint)], ASSOCIATED_TOKEN_PROGRAM
    )
    return address


def _check_amount(name: str, amount: int, most: int) -> None:
    if not 1 <= amount <= most:
        raise invalid_params(f"{name}: expected 1 to {most}, not {amount}")

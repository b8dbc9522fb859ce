"""A market on a ledger process with one client, one provider and many open escrows, for payouts."""

import base64
import hashlib
import time
from dataclasses import dataclass

from solders.hash import Hash
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from contracts.ledger_process import LedgerProcess
from neurogrid_contracts.accounts import EscrowAccount
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import (
    MarketTerms,
    SignedVoucher,
    deposit,
    init_config,
    open_client,
    open_escrow,
    register_provider,
    stake,
)
from neurogrid_contracts.payouts import ClaimPayout, EscrowParties, release_payout
from neurogrid_marketplace.voucher import Voucher
from neurogrid_wallet.batches import Payout
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.transactions import build_transaction

USDC = 1_000_000
DAY_S = 86_400
DEPOSIT = 1000 * USDC
ESCROW_MAX = USDC
TERMS = MarketTerms(
    fee_bps=100,
    slash_bps=2000,
    min_stake_micro_usdc=5 * USDC,
    unbonding_window_s=10 * DAY_S,
    grace_window_s=100,
    arbitration_window_s=100,
)
DOMAIN = 7
# Opening an escrow takes 10,500 units at most, and its accounts leave room for five.
_OPENED_AT_ONCE = 4


@dataclass(frozen=True)
class EscrowMarket:
    """Keys and addresses; all follow from a seed, so that another process has the same."""

    deployment: Deployment
    admin: KeyPair
    client: KeyPair
    provider: KeyPair
    session: KeyPair

    @classmethod
    def of(cls, seed: bytes, program_id: str, usdc_mint: str) -> "EscrowMarket":
        """The parties that ``seed`` makes; nothing is on the chain yet."""
        root = KeyPair(seed)
        admin = root.derive(b"admin")
        deployment = Deployment(
            Pubkey.from_string(program_id), Pubkey.from_string(usdc_mint), pubkey(admin)
        )
        others = (root.derive(name) for name in (b"client", b"provider", b"session"))
        return cls(deployment, admin, *others)

    @property
    def treasury(self) -> Pubkey:
        return self.deployment.token_account(pubkey(self.admin))

    def set_up(self, ledger: LedgerProcess, escrows: int) -> None:
        """Create the market, and open the escrows of the jobs 0 to ``escrows``."""
        d, client, provider = self.deployment, pubkey(self.client), pubkey(self.provider)
        for key in (self.admin, self.client, self.provider):
            ledger.call("requestAirdrop", key.address, 10**10)
            ledger.call("neurogrid_requestUsdc", key.address, DEPOSIT)
        do(
            ledger,
            self.admin,
            init_config(
                d,
                treasury=self.treasury,
                arbiter=pubkey(self.admin),
                domain=DOMAIN,
                terms=TERMS,
            ),
        )
        do(
            ledger,
            self.provider,
            register_provider(d, owner=provider, payout_owner=provider),
            stake(
                d,
                funder=provider,
                provider_owner=provider,
                source=d.token_account(provider),
                amount_micro_usdc=TERMS.min_stake_micro_usdc,
            ),
        )
        do(
            ledger,
            self.client,
            open_client(d, owner=client),
            deposit(
                d,
                funder=client,
                client_owner=client,
                source=d.token_account(client),
                amount_micro_usdc=DEPOSIT,
            ),
        )
        for start in range(0, escrows, _OPENED_AT_ONCE):
            opened = range(start, min(start + _OPENED_AT_ONCE, escrows))
            do(ledger, self.client, *(self._open(number) for number in opened))

    def parties(self, number: int) -> EscrowParties:
        """Of the escrow of job ``number``."""
        provider = pubkey(self.provider)
        payout = self.deployment.token_account(provider)
        return EscrowParties(pubkey(self.client), provider, payout, job_id(number))

    def escrow_address(self, number: int) -> Pubkey:
        """Where the escrow of job ``number`` is."""
        return self.deployment.escrow(pubkey(self.client), job_id(number))

    def escrow(self, ledger: LedgerProcess, number: int) -> EscrowAccount | None:
        """The escrow of job ``number``; None if it is closed."""
        data = account_data(ledger, self.escrow_address(number))
        return None if data is None else EscrowAccount.parse(data)

    def earned_micro_usdc(self, ledger: LedgerProcess) -> int:
        """What the provider holds beyond what it began with and did not stake."""
        data = account_data(ledger, self.deployment.token_account(pubkey(self.provider)))
        assert data is not None, "it was funded"
        held = int.from_bytes(data[64:72], "little")
        return held - DEPOSIT + TERMS.min_stake_micro_usdc

    def release(self, number: int, amount_micro_usdc: int, released_micro_usdc: int = 0) -> Payout:
        """A release of an escrow that has released so much before."""
        return release_payout(
            f"release {number}",
            self.deployment,
            self.parties(number),
            treasury=self.treasury,
            authority=pubkey(self.client),
            amount_micro_usdc=amount_micro_usdc,
            expected_released_micro_usdc=released_micro_usdc,
        )

    def claim(self, number: int, sequence: int, cumulative_micro_usdc: int) -> ClaimPayout:
        """A voucher on the escrow of job ``number``, to be redeemed and to close it."""
        address = bytes(self.escrow_address(number))
        statement = Voucher(DOMAIN, address, sequence, cumulative_micro_usdc)
        signed = SignedVoucher(
            statement, pubkey(self.session), self.session.sign(statement.message())
        )
        # The client opened it, so it paid its rent.
        return ClaimPayout(
            f"claim {number}", self.parties(number), signed, close_to=pubkey(self.client)
        )

    def _open(self, number: int) -> Instruction:
        return open_escrow(
            self.deployment,
            authority=pubkey(self.client),
            client_owner=pubkey(self.client),
            provider_owner=pubkey(self.provider),
            job_id=job_id(number),
            max_micro_usdc=ESCROW_MAX,
            deadline_unix_s=int(time.time()) + DAY_S,
            voucher_signer=pubkey(self.session),
        )


def sign(ledger: LedgerProcess, payer: KeyPair, *instructions: Instruction) -> bytes:
    """A transaction that is paid and signed by one key."""
    answer = ledger.call("getLatestBlockhash", {"commitment": "confirmed"})
    blockhash = Hash.from_string(answer["value"]["blockhash"])
    return build_transaction(list(instructions), pubkey(payer), [payer.to_solders()], blockhash)


def do(ledger: LedgerProcess, payer: KeyPair, *instructions: Instruction) -> None:
    """Execute a transaction, which has to succeed."""
    raw = base64.b64encode(sign(ledger, payer, *instructions)).decode()
    config = {"encoding": "base64", "preflightCommitment": "confirmed"}
    ledger.call("sendTransaction", raw, config)


def account_data(ledger: LedgerProcess, address: Pubkey) -> bytes | None:
    """What an account holds; None where there is none."""
    config = {"encoding": "base64", "commitment": "confirmed"}
    value = ledger.call("getAccountInfo", str(address), config)["value"]
    return None if value is None else base64.b64decode(value["data"][0])


def job_id(number: int) -> bytes:
    """Of the job of this number."""
    return hashlib.sha256(b"job %d" % number).digest()


def pubkey(key: KeyPair) -> Pubkey:
    return Pubkey(key.public_key)

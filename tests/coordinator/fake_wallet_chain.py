"""The api's chain for transfers: wallets with what tests give them, real transactions, and a network that
takes what it is sent."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from coordinator.fake_parties import DEPLOYMENT
from coordinator.records import wallet
from neurogrid_contracts.accounts import (
    ClientAccount,
    ConfigAccount,
    DisputeOpener,
    EscrowAccount,
    EscrowState,
    ProviderAccount,
)
from neurogrid_contracts.client_money import Standing
from neurogrid_coordinator.money.client_funds import ClientFunds
from neurogrid_coordinator.money.wallet_chain import Draft, ProviderStanding
from neurogrid_wallet.chain import (
    ChainPosition,
    Commitment,
    SignatureStatus,
    SignatureStatuses,
    TransactionFailure,
)
from neurogrid_wallet.currencies import Currency
from neurogrid_wallet.errors import RpcUnavailable
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.transactions import signature_of

# A blockhash is good for so many blocks.
LIFE_BLOCKS = 150
_USDC = 1_000_000
DAY_S = 86_400
NOBODY = Pubkey.default()


def terms(*, min_stake: int = 5 * _USDC) -> ConfigAccount:
    """A market's."""
    return ConfigAccount(
        bump=255,
        paused=False,
        creator=DEPLOYMENT.admin,
        admin=DEPLOYMENT.admin,
        pending_admin=None,
        usdc_mint=DEPLOYMENT.usdc_mint,
        domain=7,
        fee_bps=100,
        slash_bps=2000,
        min_stake_micro_usdc=min_stake,
        unbonding_window_s=10 * DAY_S,
        grace_window_s=100,
        arbitration_window_s=100,
        dispute_bond_micro_usdc=0,
        arbiter=DEPLOYMENT.admin,
        treasury=NOBODY,
        pending_fee_bps=0,
        pending_slash_bps=0,
        pending_min_stake_micro_usdc=0,
        pending_unbonding_window_s=0,
        pending_grace_window_s=0,
        pending_arbitration_window_s=0,
        pending_dispute_bond_micro_usdc=0,
        pending_arbiter=NOBODY,
        pending_treasury=NOBODY,
        terms_from_unix_s=0,
    )


def provider_account(owner: str, *, staked: int, unbonding: int = 0) -> ProviderAccount:
    """A provider with this stake, in micro-USDC; what unbonds does so until day 20."""
    wallet_key = Pubkey.from_string(owner)
    return ProviderAccount(
        bump=255,
        open_escrows=1,
        config=DEPLOYMENT.config,
        owner=wallet_key,
        payout_owner=wallet_key,
        vault=NOBODY,
        staked_micro_usdc=staked,
        unbonding_micro_usdc=unbonding,
        unbonding_until_unix_s=20 * DAY_S if unbonding else 0,
        slashed_micro_usdc=0,
        earned_micro_usdc=3 * _USDC,
        jobs_completed=3,
        bonded_micro_usdc=0,
    )


def escrow_account(maximum: int, state: EscrowState = EscrowState.OPEN) -> EscrowAccount:
    """An escrow that has paid nothing yet."""
    return EscrowAccount(
        bump=255,
        state=state,
        fee_bps=200,
        slash_bps=2000,
        config=DEPLOYMENT.config,
        client=NOBODY,
        provider=NOBODY,
        job_id=bytes(32),
        rent_payer=NOBODY,
        voucher_signer=NOBODY,
        sequence=1,
        max_micro_usdc=maximum,
        released_micro_usdc=0,
        opened_unix_s=0,
        deadline_unix_s=0,
        claim_until_unix_s=0,
        grace_window_s=0,
        arbitration_window_s=0,
        dispute_bond_micro_usdc=0,
        slashed_micro_usdc=0,
        operator_charge_micro_usdc=0,
        operator_grant=1,
        opened_by_operator=True,
        dispute_opener=DisputeOpener.NOBODY,
        client_complains=False,
    )


def signed_by(key: KeyPair, unsigned: bytes) -> str:
    """What a wallet makes of a transaction: the same with its signature, base64."""
    message = unsigned[65:]
    return base64.b64encode(b"\x01" + key.sign(message) + message).decode()


class FakeWalletChain:
    """Is a `wallet_chain.TransferChain`.

    Attributes:
        providers: by wallet; escrows: by address.
        now_unix_s: by the chain's clock; begins on day 15.
        height: blocks, and slots as well.
        refuse: what every draft's simulation says.
        sent: what arrived; ``landed`` by signature, where it was taken.
        loses: what is sent arrives nowhere.
    """

    def __init__(self, funds_of: Mapping[str, ClientFunds]) -> None:
        self.deployment = DEPLOYMENT
        self.operator = Pubkey.from_string(wallet("operator"))
        self.currencies = (Currency("USDC", DEPLOYMENT.usdc_mint),)
        self._funds_of = funds_of
        self.providers: dict[str, ProviderAccount] = {}
        self.escrows: dict[str, EscrowAccount] = {}
        self.terms = terms()
        self.now_unix_s = 15 * DAY_S
        self.height = 1_000
        self.refuse: TransactionFailure | None = None
        self.sent: list[bytes] = []
        self.landed: dict[str, SignatureStatus] = {}
        self.loses = False
        self.away = False
        self._hashes = 0

    async def standing(self, owner: Pubkey) -> Standing:
        self._require_there()
        funds = self._funds_of.get(str(owner), ClientFunds(0, 0, 0, 0))
        tokens = {entry.name: funds.wallet_micro_usdc for entry in self.currencies}
        client = None
        if funds.balance_micro_usdc:
            client = ClientAccount(
                bump=255,
                open_escrows=0,
                config=DEPLOYMENT.config,
                owner=owner,
                vault=NOBODY,
                operator=self.operator,
                operator_limit_micro_usdc=funds.operator_limit_micro_usdc,
                operator_expiry_unix_s=2**40,
                balance_micro_usdc=funds.balance_micro_usdc,
                locked_micro_usdc=funds.locked_micro_usdc,
                sequence=0,
                spent_micro_usdc=0,
                operator_grant=1,
            )
        return Standing(10**9, tokens, client)

    async def provider(self, owner: Pubkey) -> ProviderStanding:
        self._require_there()
        funds = self._funds_of.get(str(owner), ClientFunds(0, 0, 0, 0))
        return ProviderStanding(
            self.providers.get(str(owner)), self.terms, funds.wallet_micro_usdc, self.now_unix_s
        )

    async def escrow(self, address: Pubkey) -> EscrowAccount | None:
        self._require_there()
        return self.escrows.get(str(address))

    async def draft(self, owner: Pubkey, instructions: Sequence[Instruction]) -> Draft:
        self._require_there()
        self._hashes += 1
        blockhash = Hash(hashlib.sha256(self._hashes.to_bytes(8, "big")).digest())
        message = MessageV0.try_compile(owner, list(instructions), [], blockhash)
        assert message.header.num_required_signatures == 1
        return Draft(
            to_bytes_versioned(message), 5_000, self.height + LIFE_BLOCKS, self.height, self.refuse
        )

    async def position(self, commitment: Commitment) -> ChainPosition:
        self._require_there()
        return ChainPosition(self.height, self.height)

    async def statuses(self, signatures: Sequence[str]) -> SignatureStatuses:
        self._require_there()
        found = tuple(self.landed.get(signature) for signature in signatures)
        return SignatureStatuses(self.height, found)

    async def first_available_slot(self) -> int:
        return 0

    async def send(self, signed: bytes) -> None:
        self.sent.append(signed)
        if not self.loses:
            self.landed.setdefault(
                signature_of(signed), SignatureStatus(self.height, Commitment.CONFIRMED, None)
            )

    def finalize(self, failure: TransactionFailure | None = None) -> None:
        """What landed is final now, with this failure."""
        self.landed = {
            signature: replace(status, commitment=Commitment.FINALIZED, failure=failure)
            for signature, status in self.landed.items()
        }

    def _require_there(self) -> None:
        if self.away:
            raise RpcUnavailable("getMultipleAccounts", "connection refused")

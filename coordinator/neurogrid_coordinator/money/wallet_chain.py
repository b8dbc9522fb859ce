"""The chain as transfers need it: what wallets have, transactions for them to sign, and what became of those."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from solders.instruction import Instruction
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from neurogrid_contracts.accounts import ConfigAccount, EscrowAccount, ProviderAccount
from neurogrid_contracts.client_money import Standing, read_standing
from neurogrid_contracts.clock import CLOCK_SYSVAR
from neurogrid_contracts.deployment import Deployment
from neurogrid_wallet.chain import ChainPosition, Commitment, SignatureStatuses, TransactionFailure
from neurogrid_wallet.currencies import Currency, currencies_of
from neurogrid_wallet.errors import RpcRejected
from neurogrid_wallet.fees import FeePolicy, budget_for_attempt
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import ComputeBudget, writable_accounts
from neurogrid_wallet.usdc import token_amount

from .market_terms import unix_s

# The base fee of a signature, lamports; a transfer has one.
_SIGNATURE_LAMPORTS = 5_000
_MICRO_LAMPORTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction that its wallet has still to sign.

    Attributes:
        message: what is signed.
        last_valid_block_height, slot: see `SignedTransaction`.
        failure: why the chain would refuse it now; None if it would not.
    """

    message: bytes
    fee_lamports: int
    last_valid_block_height: int
    slot: int
    failure: TransactionFailure | None


@dataclass(frozen=True, slots=True)
class ProviderStanding:
    """What a provider's wallet has, at one instant.

    Attributes:
        account: in the market's program; None if it is no provider.
        terms: the market's.
        wallet_micro_usdc: in the wallet itself.
        now_unix_s: by the chain's clock.
    """

    account: ProviderAccount | None
    terms: ConfigAccount
    wallet_micro_usdc: int
    now_unix_s: int


class TransferChain(Protocol):
    """What transfers need of the chain; is a `WalletChain`."""

    @property
    def deployment(self) -> Deployment:
        """The market."""

    @property
    def operator(self) -> Pubkey:
        """Our wallet, which clients let open escrows."""

    @property
    def currencies(self) -> tuple[Currency, ...]:
        """The market's own first."""

    async def standing(self, owner: Pubkey) -> Standing:
        """What a client's wallet has."""

    async def provider(self, owner: Pubkey) -> ProviderStanding:
        """What a provider's wallet has."""

    async def escrow(self, address: Pubkey) -> EscrowAccount | None:
        """The escrow there; None if it is closed."""

    async def draft(self, owner: Pubkey, instructions: Sequence[Instruction]) -> Draft:
        """A transaction for this wallet, which pays for it and signs it alone."""

    async def position(self, commitment: Commitment) -> ChainPosition:
        """How far the chain is."""

    async def statuses(self, signatures: Sequence[str]) -> SignatureStatuses:
        """What became of these transactions, by the whole history."""

    async def first_available_slot(self) -> int:
        """Where that history begins."""

    async def send(self, signed: bytes) -> None:
        """Hand a signed transaction to the network; repeating is safe."""


class WalletChain:
    """The real one. Every method raises `RpcError` where the chain is away.

    Args:
        fees: what going first may cost the wallets; the cap is theirs as well as ours.
    """

    def __init__(self, rpc: Rpc, deployment: Deployment, operator: Pubkey, fees: FeePolicy) -> None:
        self._rpc = rpc
        self.deployment = deployment
        self.operator = operator
        self.currencies = currencies_of(deployment.usdc_mint, {})
        self._fees = fees

    async def standing(self, owner: Pubkey) -> Standing:
        """What a client's wallet has."""
        return await read_standing(self._rpc, owner, self.currencies, self.deployment)

    async def provider(self, owner: Pubkey) -> ProviderStanding:
        """What a provider's wallet has."""
        account, config, tokens, clock = await self._rpc.get_accounts(
            [
                self.deployment.provider(owner),
                self.deployment.config,
                self.deployment.token_account(owner),
                CLOCK_SYSVAR,
            ]
        )
        assert config is not None, "we started with this market"
        return ProviderStanding(
            ProviderAccount.parse(account.data) if account else None,
            ConfigAccount.parse(config.data),
            token_amount(tokens.data) if tokens else 0,
            unix_s(clock),
        )

    async def escrow(self, address: Pubkey) -> EscrowAccount | None:
        """The escrow there; None if it is closed."""
        account = await self._rpc.get_account(address)
        return EscrowAccount.parse(account.data) if account else None

    async def draft(self, owner: Pubkey, instructions: Sequence[Instruction]) -> Draft:
        """A transaction for this wallet, which pays for it and signs it alone."""
        recent: list[int] = []
        if self._fees.percentile is not None:
            try:
                recent = await self._rpc.prioritization_fees(writable_accounts(instructions, owner))
            except RpcRejected:
                # An endpoint without this method; the lowest price is left.
                recent = []
        budget = budget_for_attempt(self._fees, ComputeBudget(), recent, dead_attempts=0)
        hashed = await self._rpc.latest_blockhash()
        message = MessageV0.try_compile(owner, budget.around(instructions), [], hashed.blockhash)
        assert message.header.num_required_signatures == 1, "of its owner alone"
        unsigned = VersionedTransaction.populate(message, [Signature.default()])
        simulation = await self._rpc.simulate(bytes(unsigned))
        priority = budget.unit_limit * budget.unit_price_micro_lamports
        return Draft(
            to_bytes_versioned(message),
            _SIGNATURE_LAMPORTS + -(-priority // _MICRO_LAMPORTS),
            hashed.last_valid_block_height,
            hashed.slot,
            simulation.failure,
        )

    async def position(self, commitment: Commitment) -> ChainPosition:
        """How far the chain is."""
        return await self._rpc.position(commitment)

    async def statuses(self, signatures: Sequence[str]) -> SignatureStatuses:
        """What became of these transactions, by the whole history."""
        return await self._rpc.signature_statuses(signatures, search_history=True)

    async def first_available_slot(self) -> int:
        """Where that history begins."""
        return await self._rpc.first_available_slot()

    async def send(self, signed: bytes) -> None:
        """Hand a signed transaction to the network; repeating is safe."""
        await self._rpc.send_raw(signed)

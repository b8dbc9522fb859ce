"""The coordinator's side of the escrow program: reading accounts, opening escrows, taking them back.

Everything that moves money goes through the wallet's outbox under an id made from the lease, so it
happens once however often it is asked for. The coordinator signs as its clients' *operator*: it may
open escrows up to the limit each client has set, and can never withdraw.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import (
    AccountFormatError,
    ClientAccount,
    ConfigAccount,
    EscrowAccount,
    EscrowState,
    ProviderAccount,
)
from neurogrid_contracts.clock import CLOCK_SYSVAR
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.errors import ProgramErrorCode, program_error
from neurogrid_contracts.instructions import open_escrow, refund, release
from neurogrid_marketplace.demand import MAX_TIMEOUT_S
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_wallet.errors import PaymentFailed, PaymentTimeout, RpcError
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payment import Payment, PaymentState
from neurogrid_wallet.rpc import Account, Rpc
from neurogrid_wallet.transactions import ComputeBudget

from .client_funds import FundsReader
from .escrow_history import Closing, closing_of
from .market_terms import unix_s

_log = logging.getLogger(__name__)

# An escrow outlives its job by this much: pulling the image (half an hour), an hour's pause without
# vouchers, uploading outputs, and a chain that is away for an hour at the end. It costs nobody
# anything: provider and coordinator both close it early.
DEADLINE_SLACK_S = 4 * 3600
# How far our clock may be behind the chain's.
_DEADLINE_MARGIN_S = 60
# Opening takes some 10,000 compute units (contracts-client/program), releasing and refunding less.
_OPEN_BUDGET = ComputeBudget(unit_limit=40_000)
_CLOSE_BUDGET = ComputeBudget(unit_limit=40_000)
_CONFIRM_S = 30.0
# How often a release or refund is made anew after the chain refused one.
_ATTEMPTS_MAX = 50
# How long a confirmed escrow may take to show up at an endpoint that is several machines.
_VISIBLE_TRIES = 20
_VISIBLE_PAUSE_S = 0.5
# Escrows that are asked for within this are read in one call.
_BATCH_S = 0.005

_OF_CLIENT = frozenset(
    {
        ProgramErrorCode.INSUFFICIENT_BALANCE,
        ProgramErrorCode.OVER_LIMIT,
        ProgramErrorCode.NOT_AUTHORIZED,
        ProgramErrorCode.WRONG_TIME,
    }
)
_OF_NODE = frozenset({ProgramErrorCode.INSUFFICIENT_STAKE, ProgramErrorCode.WRONG_OWNER})


class EscrowRefused(Exception):
    """The escrow cannot be opened.

    Attributes:
        of_client: the client's funds, limit or time limit are the reason.
        of_node: the provider's stake or account is.
    """

    def __init__(self, message: str, *, of_client: bool = False, of_node: bool = False) -> None:
        super().__init__(message)
        self.of_client = of_client
        self.of_node = of_node


@dataclass(frozen=True, slots=True)
class EscrowTerms:
    """An escrow to be opened.

    Attributes:
        client, provider: wallets, not accounts of the program.
        voucher_signer: whose vouchers it honours.
    """

    lease_id: str
    client: str
    provider: str
    max_micro_usdc: int
    timeout_s: int
    voucher_signer: bytes


@dataclass(frozen=True, slots=True)
class OpenedEscrow:
    """An escrow that is confirmed on the chain."""

    address: str
    sequence: int
    transaction: str


def timeout_s_max(terms: ConfigAccount) -> int:
    """The longest time limit for which these terms let an escrow be opened."""
    return min(terms.longest_escrow_s - _DEADLINE_MARGIN_S, MAX_TIMEOUT_S)


class Chain:
    """The market's program, as this coordinator uses it.

    Args:
        operator: our wallet on the chain.
        terms: the market's at the start, see `load_terms`.
    """

    def __init__(
        self,
        *,
        rpc: Rpc,
        outbox: Outbox,
        deployment: Deployment,
        operator: Pubkey,
        terms: ConfigAccount,
    ) -> None:
        self._rpc = rpc
        self._outbox = outbox
        self.deployment = deployment
        self._operator = operator
        self.terms = terms
        self.funds = FundsReader(rpc, deployment, operator)
        self._batch: dict[str, asyncio.Future[EscrowAccount | None]] | None = None
        self._reading: set[asyncio.Task[None]] = set()

    @property
    def timeout_s_max(self) -> int:
        """The longest time limit for which an escrow can be opened."""
        return timeout_s_max(self.terms)

    def escrow_address(self, client: str, lease_id: str) -> str:
        """Where the escrow of a lease is."""
        return str(self.deployment.escrow(Pubkey.from_string(client), escrow_job_id(lease_id)))

    async def provider(self, wallet: str) -> ProviderAccount | None:
        """A provider's account, None if it has none.

        Raises:
            RpcError: the chain is away.
        """
        account = await self._rpc.get_account(self.deployment.provider(Pubkey.from_string(wallet)))
        return ProviderAccount.parse(account.data) if account else None

    async def stakes(self, wallets: Sequence[str]) -> dict[str, int]:
        """What these wallets' provider accounts have at risk, micro-USDC; 0 without one.

        Raises:
            RpcError: the chain is away.
        """
        owners = {wallet: owner for wallet in wallets if (owner := _owner(wallet)) is not None}
        found = await self._rpc.get_accounts(
            [self.deployment.provider(owner) for owner in owners.values()]
        )
        staked = dict.fromkeys(wallets, 0)
        for wallet, account in zip(owners, found, strict=True):
            if account is not None:
                staked[wallet] = ProviderAccount.parse(account.data).staked_micro_usdc
        return staked

    async def open(self, terms: EscrowTerms) -> OpenedEscrow:
        """Open an escrow, or find that it was opened; waits for as long as that takes.

        Raises:
            EscrowRefused: it is not open, and never will be for this lease.
            RpcError: the chain is away; ask again.
        """
        payment_id = f"open:{terms.lease_id}"
        payment = await self._outbox.get(payment_id)
        if payment is None:
            await self._submit_open(payment_id, terms)
        try:
            payment = await self._landed(payment_id)
        except PaymentFailed as error:
            raise await self._refusal(terms, error) from error
        self.funds.changed(terms.client)
        address = self.escrow_address(terms.client, terms.lease_id)
        for _ in range(_VISIBLE_TRIES):
            # Not in a batch with others': a job waits for this.
            account = await self._rpc.get_account(Pubkey.from_string(address))
            if account is not None:
                escrow = EscrowAccount.parse(account.data)
                return OpenedEscrow(address, escrow.sequence, payment.signature or "")
            await asyncio.sleep(_VISIBLE_PAUSE_S)
        raise EscrowRefused("the escrow was closed before anybody used it")

    async def escrow(self, address: str) -> EscrowAccount | None:
        """The escrow at this address; None if it is closed. Those asked for together are one call.

        Raises:
            RpcError: the chain is away.
        """
        batch = self._batch
        if batch is None:
            batch = self._batch = {}
            asyncio.get_running_loop().call_later(_BATCH_S, self._read_batch)
        future = batch.get(address)
        if future is None:
            future = batch[address] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(future)

    async def closing(self, address: str) -> Closing | None:
        """How a closed escrow was closed; None while the chain does not tell.

        Raises:
            RpcError: the chain is away.
        """
        return await closing_of(self._rpc, self.deployment.program_id, address)

    async def take_back(self, lease_id: str, client: str, provider: str) -> None:
        """Do what is due to get the rest of an escrow back: a final release, later the refund.

        Call it again and again until the escrow is gone.

        Raises:
            RpcError, PaymentTimeout: not yet known; ask again.
        """
        address = Pubkey.from_string(self.escrow_address(client, lease_id))
        escrow_data, clock_data, config_data = await self._rpc.get_accounts(
            [address, CLOCK_SYSVAR, self.deployment.config]
        )
        self._see_terms(config_data)
        if escrow_data is None:
            return
        escrow, now_s = EscrowAccount.parse(escrow_data.data), unix_s(clock_data)
        client_owner = Pubkey.from_string(client)
        job_id = escrow_job_id(lease_id)
        if now_s > escrow.refund_after_unix_s:
            give_back = refund(
                self.deployment,
                client_owner=client_owner,
                provider_owner=Pubkey.from_string(provider),
                job_id=job_id,
                rent_payer=escrow.rent_payer,
            )
            await self._once(f"refund:{lease_id}", give_back)
        elif (
            escrow.state is EscrowState.OPEN
            and escrow.claim_until_unix_s > now_s + escrow.grace_window_s
        ):
            # Nothing is paid: it starts the window in which vouchers beat the refund.
            provider_account = await self.provider(provider)
            assert provider_account is not None, "an escrow has a provider"
            start_window = release(
                self.deployment,
                authority=self._operator,
                client_owner=client_owner,
                provider_owner=Pubkey.from_string(provider),
                job_id=job_id,
                payout=self.deployment.token_account(provider_account.payout_owner),
                treasury=self.terms.treasury,
                amount_micro_usdc=0,
                expected_released_micro_usdc=escrow.released_micro_usdc,
                final=True,
            )
            await self._once(f"release:{lease_id}", start_window)
        self.funds.changed(client)

    async def _submit_open(self, payment_id: str, terms: EscrowTerms) -> None:
        # By our own clock, and without a look at the accounts: the program checks everything, and
        # a job waits for each round trip that is made here.
        if terms.timeout_s > self.timeout_s_max:
            raise EscrowRefused(
                f"the time limit of {terms.timeout_s} s is longer than the {self.timeout_s_max} s "
                "for which this market's stakes stand good",
                of_client=True,
            )
        longest_s = self.terms.longest_escrow_s - _DEADLINE_MARGIN_S
        lasts_s = min(terms.timeout_s + DEADLINE_SLACK_S, longest_s)
        instruction = open_escrow(
            self.deployment,
            authority=self._operator,
            client_owner=Pubkey.from_string(terms.client),
            provider_owner=Pubkey.from_string(terms.provider),
            job_id=escrow_job_id(terms.lease_id),
            max_micro_usdc=terms.max_micro_usdc,
            deadline_unix_s=int(time.time()) + lasts_s,
            voucher_signer=Pubkey(terms.voucher_signer),
        )
        await self._outbox.submit(
            payment_id,
            [instruction],
            self._operator,
            compute=_OPEN_BUDGET,
            worth_micro_usdc=terms.max_micro_usdc,
        )

    async def _refusal(self, terms: EscrowTerms, error: PaymentFailed) -> EscrowRefused:
        """Why an escrow was refused: in words where the accounts show it, else by its number."""
        client_data, provider_data, clock_data, config_data = await self._rpc.get_accounts(
            [
                self.deployment.client(Pubkey.from_string(terms.client)),
                self.deployment.provider(Pubkey.from_string(terms.provider)),
                CLOCK_SYSVAR,
                self.deployment.config,
            ]
        )
        self._see_terms(config_data)
        try:
            self._check_client(client_data, terms, unix_s(clock_data))
            self._check_provider(provider_data)
        except EscrowRefused as reason:
            return reason
        failure = error.payment.failure
        number = failure.custom_program_error if failure is not None else None
        known = program_error(number) if number is not None else None
        if known is None:
            # The operator's own SOL, for example: nobody else's fault.
            return EscrowRefused(f"the chain refused the escrow: {failure}")
        return EscrowRefused(
            f"the escrow program refused: {known.code.name}. {known.advice}",
            of_client=known.code in _OF_CLIENT,
            of_node=known.code in _OF_NODE,
        )

    def _see_terms(self, config: Account | None) -> None:
        """An administrator can change them after notice: they are looked at wherever they matter."""
        if config is not None:
            self.terms = ConfigAccount.parse(config.data)

    def _check_client(self, data: Account | None, terms: EscrowTerms, now_s: int) -> None:
        """Say in words what the program would only give a number for."""
        if data is None:
            raise EscrowRefused(f"the wallet {terms.client} has deposited nothing", of_client=True)
        client = ClientAccount.parse(data.data)
        may_sign = client.operator == self._operator and now_s < client.operator_expiry_unix_s
        if client.owner != self._operator and not may_sign:
            raise EscrowRefused(
                "the coordinator may not open escrows for this wallet (any more): "
                f"name {self._operator} as its operator",
                of_client=True,
            )
        limit = client.limit_micro_usdc(self._operator, now_s)
        can_spend = min(client.available_micro_usdc, limit)
        if terms.max_micro_usdc > can_spend:
            raise EscrowRefused(
                f"{format_usdc(terms.max_micro_usdc)} USDC are to be locked, and "
                f"{format_usdc(can_spend)} are free (deposit, or the operator's limit)",
                of_client=True,
            )

    def _check_provider(self, data: Account | None) -> None:
        staked = ProviderAccount.parse(data.data).staked_micro_usdc if data else 0
        if staked < self.terms.min_stake_micro_usdc:
            raise EscrowRefused(
                f"the node has staked {format_usdc(staked)} USDC; the market asks for "
                f"{format_usdc(self.terms.min_stake_micro_usdc)}",
                of_node=True,
            )

    async def _landed(self, payment_id: str) -> Payment:
        while True:
            try:
                return await self._outbox.confirmed(payment_id, _CONFIRM_S)
            except PaymentTimeout as error:
                _log.warning("%s", error)

    async def _once(self, name: str, instruction: Instruction) -> None:
        """Carry out a payment; one that the chain refused is followed by another of its kind."""
        for attempt in range(_ATTEMPTS_MAX):
            payment_id = f"{name}:{attempt}"
            payment = await self._outbox.get(payment_id)
            if payment is not None and payment.state is PaymentState.FAILED:
                continue
            if payment is None:
                await self._outbox.submit(
                    payment_id, [instruction], self._operator, compute=_CLOSE_BUDGET
                )
            try:
                await self._outbox.confirmed(payment_id, _CONFIRM_S)
            except PaymentFailed as error:
                # Late or early: whoever asks again finds another state of the escrow.
                _log.info("%s", error)
            return
        _log.error("%s was refused %d times: somebody has to look", name, _ATTEMPTS_MAX)

    def _read_batch(self) -> None:
        batch, self._batch = self._batch, None
        assert batch is not None, "it was scheduled with the first of the batch"
        reading = asyncio.create_task(self._read_escrows(batch))
        # The loop itself holds tasks weakly.
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)

    async def _read_escrows(self, batch: dict[str, asyncio.Future[EscrowAccount | None]]) -> None:
        try:
            found = await self._rpc.get_accounts([Pubkey.from_string(a) for a in batch])
            escrows = [EscrowAccount.parse(account.data) if account else None for account in found]
        except (RpcError, AccountFormatError) as error:
            for future in batch.values():
                future.set_exception(error)
                # Whoever asked may be gone; an error that nobody hears is no news.
                future.exception()
        else:
            for future, escrow in zip(batch.values(), escrows, strict=True):
                future.set_result(escrow)


def _owner(wallet: str) -> Pubkey | None:
    """The key of an address; None if it is none: nodes say what they like."""
    try:
        return Pubkey.from_string(wallet)
    except ValueError:
        return None

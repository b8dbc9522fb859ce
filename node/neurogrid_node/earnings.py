"""The node's money: its stake, the escrows it works for, the vouchers it holds and redeems.

Nothing is believed that can be looked up: before a job starts the node reads the escrow from the
chain itself, and every voucher is checked against it. Redeeming goes through the wallet's outbox, so
that it happens exactly once whatever is killed.
"""

import logging
from dataclasses import dataclass

import trio
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import ConfigAccount, EscrowAccount, EscrowState, ProviderAccount
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions.escrows import claim_voucher, relinquish
from neurogrid_contracts.instructions.providers import register_provider, stake
from neurogrid_contracts.instructions.vouchers import SignedVoucher, ed25519_instruction
from neurogrid_marketplace.errors import BadSignature
from neurogrid_marketplace.identity import check_signature
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Start, VoucherMessage
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_marketplace.voucher import Voucher
from neurogrid_wallet.errors import PaymentFailed, PaymentTimeout, RpcError
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import ComputeBudget
from neurogrid_wallet.usdc import create_token_account, usdc_balance

_log = logging.getLogger(__name__)

# How long a new escrow may take to show up at our own endpoint.
ESCROW_PATIENCE_S = 60
_LOOK_INTERVAL_S = 0.05
_LOOK_INTERVAL_MAX_S = 2.0
_FUNDS_INTERVAL_S = 2.0
_RETRY_S = 2.0
_CONFIRM_PATIENCE_S = 30.0
_REDEEM_ATTEMPTS = 5
# A claim that closes its escrow takes 4,000 units (contracts-client/program/README.md).
_BUDGET = ComputeBudget(unit_limit=60_000)
# Rent of a provider account, its vault and a token account, and fees for a while.
_LAMPORTS_NEEDED = 20_000_000


class EscrowUnseen(Exception):
    """The escrow is not on the chain, or not what was agreed; the message says which."""


class VoucherRefused(Exception):
    """A voucher that the program would not pay; the message says why."""


class EscrowGone(Exception):
    """The escrow was closed already, so no voucher can be checked or redeemed."""


@dataclass(frozen=True, slots=True)
class Escrow:
    """An escrow that was read from the chain and fits its lease."""

    address: Pubkey
    account: EscrowAccount


class Earnings:
    """This node's provider account and its leases' escrows."""

    def __init__(self, rpc: Rpc, outbox: Outbox, deployment: Deployment, wallet: Pubkey) -> None:
        self._rpc = rpc
        self._outbox = outbox
        self._deployment = deployment
        self._wallet = wallet
        self.staked_micro_usdc = 0
        self._terms: ConfigAccount | None = None
        self._escrows: dict[str, Escrow] = {}

    async def ensure_provider(self, stake_micro_usdc: int) -> ProviderAccount:
        """Register and stake, waiting for funds as long as it takes; says what is missing."""
        complaint = ""
        while True:
            try:
                provider = await self._provider()
                wanted = max(stake_micro_usdc, (await self.terms()).min_stake_micro_usdc)
                staked = provider.staked_micro_usdc if provider else 0
                self.staked_micro_usdc = staked
                if provider is not None and staked >= wanted:
                    return provider
                missing = await self._missing_funds(wanted - staked)
                if not missing:
                    await self._register_and_stake(provider, wanted)
                    continue
                problem = missing
            except (RpcError, PaymentTimeout, PaymentFailed) as error:
                problem = f"the chain does not answer as it should: {error}"
            if problem != complaint:
                complaint = problem
                _log.warning("not staked yet: %s", problem)
            await trio.sleep(_FUNDS_INTERVAL_S)

    async def terms(self) -> ConfigAccount:
        """The market's terms; they can't change, so they are read once."""
        if self._terms is None:
            account = await self._rpc.get_account(self._deployment.config)
            if account is None:
                raise EscrowUnseen(
                    f"no market at {self._deployment.config}: check [chain] in node.toml"
                )
            self._terms = ConfigAccount.parse(account.data)
        return self._terms

    async def await_escrow(self, lease: NodeLease, start: Start) -> Escrow:
        """Wait until the escrow of a lease is on the chain, as agreed.

        Raises:
            EscrowUnseen: not there in time, or on other terms.
        """
        interval_s = _LOOK_INTERVAL_S
        with trio.move_on_after(ESCROW_PATIENCE_S):
            while True:
                try:
                    escrow = await self._escrow(lease, start)
                except RpcError as error:
                    _log.info("lease %s: %s", lease.lease_id, error)
                    escrow = None
                if escrow is not None:
                    return escrow
                await trio.sleep(interval_s)
                interval_s = min(interval_s * 2, _LOOK_INTERVAL_MAX_S)
        raise EscrowUnseen(f"escrow {start.escrow} did not appear in {ESCROW_PATIENCE_S} s")

    async def check_voucher(self, lease: NodeLease, start: Start, voucher: VoucherMessage) -> None:
        """Check a voucher as the program would.

        Raises:
            VoucherRefused: wrong signer, or more than the escrow holds.
            EscrowGone: it is closed.
            RpcError: the chain is away; ask again.
        """
        if voucher.cumulative_micro_usdc > lease.award.max_cost_micro_usdc:
            raise VoucherRefused("over more than the escrow holds")
        if not voucher.cumulative_micro_usdc:
            return
        escrow = self._escrows.get(lease.lease_id) or await self._escrow(lease, start)
        if escrow is None:
            raise EscrowGone(f"lease {lease.lease_id}: its escrow is closed")
        statement = escrow.account.voucher(
            escrow.address, await self.terms(), voucher.cumulative_micro_usdc
        )
        try:
            check_signature(
                bytes(escrow.account.voucher_signer),
                statement.message(),
                bytes.fromhex(voucher.signature),
            )
        except BadSignature as error:
            raise VoucherRefused("not signed by the escrow's voucher signer") from error

    async def redeem(self, lease: NodeLease, voucher: VoucherMessage | None) -> str:
        """Redeem the final voucher, or give up what is left; closes the escrow.

        Returns: the transaction's signature; "" if the escrow was closed by somebody else.
        """
        start = lease.start
        if start is None:
            return ""
        for attempt in range(_REDEEM_ATTEMPTS):
            # A refused payment moved nothing; the next one has its own name, and the program
            # itself refuses to pay twice.
            payment_id = f"redeem:{lease.lease_id}:{attempt}"
            try:
                return await self._redeem_as(payment_id, lease, start, voucher)
            except PaymentFailed as error:
                _log.error("lease %s: the chain refuses to close it: %s", lease.lease_id, error)
                await trio.sleep(_RETRY_S * 2**attempt)
        _log.error("lease %s: given up; its escrow expires by itself", lease.lease_id)
        return ""

    async def _redeem_as(
        self, payment_id: str, lease: NodeLease, start: Start, voucher: VoucherMessage | None
    ) -> str:
        while True:
            try:
                if await self._outbox.get(payment_id) is None:
                    escrow = await self._escrow(lease, start)
                    if escrow is None:
                        return ""
                    instructions = await self._closing(escrow, start, voucher)
                    await self._outbox.submit(
                        payment_id, instructions, self._wallet, compute=_BUDGET
                    )
                payment = await self._outbox.confirmed(payment_id, _CONFIRM_PATIENCE_S)
            except EscrowUnseen as error:
                _log.error("lease %s: %s", lease.lease_id, error)
                return ""
            except (RpcError, PaymentTimeout) as error:
                _log.info("lease %s: not redeemed yet: %s", lease.lease_id, error)
                await trio.sleep(_RETRY_S)
            else:
                self._escrows.pop(lease.lease_id, None)
                assert payment.signed is not None, "a confirmed payment was signed"
                return payment.signed.signature

    async def _provider(self) -> ProviderAccount | None:
        account = await self._rpc.get_account(self._deployment.provider(self._wallet))
        return ProviderAccount.parse(account.data) if account else None

    async def _missing_funds(self, needed_micro_usdc: int) -> str:
        lamports = await self._rpc.sol_balance(self._wallet)
        if lamports < _LAMPORTS_NEEDED:
            return (
                f"{self._wallet} has {lamports / 1e9:g} SOL; send it {_LAMPORTS_NEEDED / 1e9:g} SOL "
                "for rent and fees"
            )
        balance = await usdc_balance(self._rpc, self._deployment.usdc_mint, self._wallet)
        if balance < needed_micro_usdc:
            return (
                f"{self._wallet} has {format_usdc(balance)} USDC; send it "
                f"{format_usdc(needed_micro_usdc - balance)} USDC more to stake"
            )
        return ""

    async def _register_and_stake(self, provider: ProviderAccount | None, wanted: int) -> None:
        instructions: list[Instruction] = []
        if provider is None:
            instructions += [
                create_token_account(self._wallet, self._wallet, self._deployment.usdc_mint),
                register_provider(self._deployment, owner=self._wallet, payout_owner=self._wallet),
            ]
        staked = provider.staked_micro_usdc if provider else 0
        instructions.append(
            stake(
                self._deployment,
                funder=self._wallet,
                provider_owner=self._wallet,
                source=self._deployment.token_account(self._wallet),
                amount_micro_usdc=wanted - staked,
            )
        )
        # Named by what it changes, so that a restarted node arrives at the same payment.
        payment_id = f"stake:{staked}:{wanted}"
        await self._outbox.submit(payment_id, instructions, self._wallet)
        await self._outbox.confirmed(payment_id, _CONFIRM_PATIENCE_S)
        _log.info("staked %s USDC as %s", format_usdc(wanted), self._wallet)

    async def _escrow(self, lease: NodeLease, start: Start) -> Escrow | None:
        """The escrow as it is now; None if it is not there."""
        client = Pubkey.from_string(start.client)
        job_id = escrow_job_id(lease.lease_id)
        address = self._deployment.escrow(client, job_id)
        if str(address) != start.escrow:
            raise EscrowUnseen("the escrow's address is not the one of this lease")
        found = await self._rpc.get_account(address)
        if found is None:
            return None
        account = EscrowAccount.parse(found.data)
        if account.provider != self._deployment.provider(self._wallet):
            raise EscrowUnseen("the escrow pays somebody else")
        if account.max_micro_usdc < lease.award.max_cost_micro_usdc:
            raise EscrowUnseen("the escrow holds less than was agreed")
        if str(account.voucher_signer) != start.voucher_signer:
            raise EscrowUnseen("the escrow has another voucher signer")
        if account.state is not EscrowState.OPEN:
            raise EscrowUnseen("the escrow is disputed")
        escrow = Escrow(address, account)
        self._escrows[lease.lease_id] = escrow
        return escrow

    async def _closing(
        self, escrow: Escrow, start: Start, voucher: VoucherMessage | None
    ) -> list[Instruction]:
        account = escrow.account
        client = Pubkey.from_string(start.client)
        amount = voucher.cumulative_micro_usdc if voucher else 0
        if voucher is None or amount <= account.released_micro_usdc:
            return [
                relinquish(
                    self._deployment,
                    client_owner=client,
                    provider_owner=self._wallet,
                    job_id=account.job_id,
                    rent_payer=account.rent_payer,
                )
            ]
        terms = await self.terms()
        statement: Voucher = account.voucher(escrow.address, terms, amount)
        signed = SignedVoucher(statement, account.voucher_signer, bytes.fromhex(voucher.signature))
        return [
            ed25519_instruction([signed]),
            claim_voucher(
                self._deployment,
                client_owner=client,
                provider_owner=self._wallet,
                job_id=account.job_id,
                payout=self._deployment.token_account(self._wallet),
                treasury=terms.treasury,
                cumulative_micro_usdc=amount,
                # The outbox puts the budget's instructions in front of ours.
                ed25519_instruction_index=len(_BUDGET.instructions()),
                close_to=account.rent_payer,
            ),
        ]

"""The node's earnings: the escrows it works for, the vouchers it holds, and their redemption.

Nothing is believed that can be looked up: before a job starts the node reads the escrow from the
chain itself, and every voucher is checked against it. Redeeming goes through the wallet's outbox, so
that it happens exactly once whatever is killed.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import trio
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.instructions.escrows import claim_voucher, relinquish
from neurogrid_contracts.instructions.vouchers import SignedVoucher, ed25519_instruction
from neurogrid_marketplace.errors import BadSignature
from neurogrid_marketplace.execution import CLAIM_MARGIN_MS
from neurogrid_marketplace.identity import check_signature
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Funded, Start, VoucherMessage
from neurogrid_wallet.errors import OutboxFull, PaymentFailed, PaymentTimeout, RpcError
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payment import Payment
from neurogrid_wallet.transactions import FIRST_INSTRUCTION_INDEX, ComputeBudget

from .chain import Escrow, EscrowUnseen, Market, MarketMissing

_log = logging.getLogger(__name__)

# How long a new escrow may take to show up at our own endpoint.
ESCROW_PATIENCE_S = 60
_LOOK_INTERVAL_S = 0.05
_LOOK_INTERVAL_MAX_S = 2.0
_RETRY_S = 2.0
_CONFIRM_PATIENCE_S = 30.0
# Each is a transaction that the chain refused; with doubling pauses, 17 minutes.
_REDEEM_ATTEMPTS = 10
# A claim that closes its escrow takes 4,000 units (contracts-client/program/README.md).
_BUDGET = ComputeBudget(unit_limit=60_000)


class VoucherRefused(Exception):
    """A voucher that the program would not pay; the message says why."""


class EscrowGone(Exception):
    """The escrow was closed already, so no voucher can be checked or redeemed."""


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The transaction that closed an escrow, and what it brought us after the market's fee."""

    transaction: str
    micro_usdc: int


class Earnings:
    """The escrows of this node's leases."""

    def __init__(
        self,
        market: Market,
        outbox: Outbox,
        now_ms: Callable[[], int],
        *,
        escrow_patience_s: float = ESCROW_PATIENCE_S,
        redeem_attempts: int = _REDEEM_ATTEMPTS,
    ) -> None:
        """
        Args:
            escrow_patience_s: how long a new escrow may take to show up.
            redeem_attempts: how often a claim is made anew after the chain refused it.
        """
        self._market = market
        self._outbox = outbox
        self._now_ms = now_ms
        self._escrow_patience_s = escrow_patience_s
        self._redeem_attempts = redeem_attempts
        # As last seen, for while the chain is away.
        self._seen: dict[str, Escrow] = {}

    async def await_escrow(self, lease: NodeLease, start: Start) -> int:
        """Wait until the escrow of a lease is on the chain, as agreed.

        Returns: until when it pays vouchers, Unix milliseconds.

        Raises:
            EscrowUnseen: not there in time, or on other terms.
        """
        interval_s = _LOOK_INTERVAL_S
        problem = ""
        with trio.move_on_after(self._escrow_patience_s):
            while True:
                try:
                    escrow = await self._market.escrow(lease, start)
                except RpcError as error:
                    problem, escrow = f": {error}", None
                if escrow is not None:
                    self._check_terms(lease, start, escrow)
                    self._seen[lease.lease_id] = escrow
                    return escrow.account.claim_until_unix_s * 1000
                await trio.sleep(interval_s)
                interval_s = min(interval_s * 2, _LOOK_INTERVAL_MAX_S)
        raise EscrowUnseen(
            f"escrow {start.escrow} did not appear in {self._escrow_patience_s:g} s{problem}"
        )

    async def check_voucher(
        self, lease: NodeLease, named: Start | Funded, voucher: VoucherMessage
    ) -> None:
        """Check a voucher as the program would.

        Raises:
            VoucherRefused: wrong signer, more than the escrow holds, or the escrow is disputed.
            EscrowGone: it is closed.
            RpcError: the chain is away, and was since the daemon started; ask again.
        """
        if voucher.cumulative_micro_usdc > lease.award.max_cost_micro_usdc:
            raise VoucherRefused("over more than the escrow holds")
        if not voucher.cumulative_micro_usdc:
            return  # worth nothing, so there is nothing to check
        try:
            escrow = await self._market.escrow(lease, named)
            terms = await self._market.terms()
            if escrow is None:
                raise EscrowGone(f"lease {lease.lease_id}: its escrow is closed")
            self._check_terms(lease, named, escrow, lasting=False)
            self._seen[lease.lease_id] = escrow
        except RpcError:
            # Whoever is away for an hour must not make us pause a job that is paid.
            if lease.lease_id not in self._seen:
                raise
            escrow, terms = self._seen[lease.lease_id], await self._market.terms()
        except (EscrowUnseen, MarketMissing) as error:
            raise VoucherRefused(str(error)) from error
        statement = escrow.account.voucher(escrow.address, terms, voucher.cumulative_micro_usdc)
        signer = bytes(escrow.account.voucher_signer)
        try:
            check_signature(signer, statement.message(), bytes.fromhex(voucher.signature))
        except BadSignature as error:
            raise VoucherRefused("not signed by the escrow's voucher signer") from error

    async def redeem(self, lease: NodeLease, voucher: VoucherMessage | None) -> Redeemed | None:
        """Redeem the voucher, or give up what is left; closes the escrow. May take hours.

        Returns: how it was closed; None if by somebody else, or if the chain refuses for good.
        """
        named = lease.escrow_named
        if named is None:
            return None
        for attempt in range(self._redeem_attempts):
            # A refused payment moved nothing; the next one has its own name, and the program
            # itself refuses to pay twice.
            payment_id = f"redeem:{lease.lease_id}:{attempt}"
            if await self._has_failed(payment_id):
                continue
            try:
                return await self._redeem_as(payment_id, lease, named, voucher)
            except EscrowUnseen as error:
                _log.error("lease %s: nothing to redeem: %s", lease.lease_id, error)
                return None
            except PaymentFailed as error:
                _log.error("lease %s: the chain refuses to close it: %s", lease.lease_id, error)
                await trio.sleep(_RETRY_S * 2**attempt)
        _log.error("lease %s: given up; its escrow expires by itself", lease.lease_id)
        return None

    def forget(self, lease_id: str) -> None:
        """A lease is over."""
        self._seen.pop(lease_id, None)

    def _check_terms(
        self, lease: NodeLease, named: Start | Funded, escrow: Escrow, *, lasting: bool = True
    ) -> None:
        """Whether the escrow is what was agreed; ``lasting``: for a job that has not begun.

        Raises:
            EscrowUnseen: it is not.
        """
        account = escrow.account
        if account.max_micro_usdc < lease.award.max_cost_micro_usdc:
            raise EscrowUnseen("the escrow holds less than was agreed")
        if str(account.voucher_signer) != named.voucher_signer:
            raise EscrowUnseen("the escrow has another voucher signer")
        if escrow.is_offered:
            raise EscrowUnseen("the escrow is only an offer, which its client can cancel")
        if escrow.is_disputed:
            raise EscrowUnseen("the escrow is disputed")
        needed_ms = lease.award.timeout_s * 1000 + CLAIM_MARGIN_MS
        if lasting and account.claim_until_unix_s * 1000 < self._now_ms() + needed_ms:
            raise EscrowUnseen("the escrow ends before the job could be paid")

    async def _has_failed(self, payment_id: str) -> bool:
        payment = await self._outbox.get(payment_id)
        return payment is not None and payment.failure is not None

    async def _redeem_as(
        self,
        payment_id: str,
        lease: NodeLease,
        named: Start | Funded,
        voucher: VoucherMessage | None,
    ) -> Redeemed | None:
        problem = ""
        while True:
            try:
                if await self._outbox.get(payment_id) is None:
                    escrow = await self._escrow_to_close(lease, named)
                    if escrow is not None:
                        self._seen[lease.lease_id] = escrow
                    instructions = await self._closing(escrow, named, voucher) if escrow else []
                    if not instructions:
                        return None
                    await self._outbox.submit(
                        payment_id,
                        instructions,
                        self._market.wallet,
                        compute=_BUDGET,
                        worth_micro_usdc=voucher.cumulative_micro_usdc if voucher else 0,
                    )
                payment = await self._outbox.confirmed(payment_id, _CONFIRM_PATIENCE_S)
                return await self._outcome(payment, lease, voucher)
            except (RpcError, PaymentTimeout, OutboxFull, MarketMissing) as error:
                if str(error) != problem:
                    problem = str(error)
                    _log.warning("lease %s: not redeemed yet: %s", lease.lease_id, problem)
                await trio.sleep(_RETRY_S)

    async def _escrow_to_close(self, lease: NodeLease, named: Start | Funded) -> Escrow | None:
        """The escrow, None if it is closed.

        Raises:
            EscrowUnseen, RpcError: as `Market.escrow`.
        """
        escrow = await self._market.escrow(lease, named)
        if lease.funded is None:
            return escrow
        # Nobody here has seen it before, and we hear of it as it opens: our own endpoint may be behind.
        interval_s = _LOOK_INTERVAL_S
        with trio.move_on_after(self._escrow_patience_s):
            while escrow is None:
                await trio.sleep(interval_s)
                interval_s = min(interval_s * 2, _LOOK_INTERVAL_MAX_S)
                escrow = await self._market.escrow(lease, named)
        return escrow

    async def _outcome(
        self, payment: Payment, lease: NodeLease, voucher: VoucherMessage | None
    ) -> Redeemed:
        assert payment.signature is not None, "a confirmed payment was signed"
        amount = voucher.cumulative_micro_usdc if voucher else 0
        # The escrow's own fee; after a restart it may be closed and gone, and the market's is the
        # best guess.
        seen = self._seen.get(lease.lease_id)
        fee_of = seen.account if seen is not None else await self._market.terms()
        fee = fee_of.fee_micro_usdc(amount)
        return Redeemed(payment.signature, amount - fee)

    async def _closing(
        self, escrow: Escrow, named: Start | Funded, voucher: VoucherMessage | None
    ) -> list[Instruction]:
        """What is left to do about an escrow; nothing if only the arbiter can."""
        account = escrow.account
        deployment, wallet = self._market.deployment, self._market.wallet
        client = Pubkey.from_string(named.client)
        amount = voucher.cumulative_micro_usdc if voucher else 0
        if voucher is None or amount <= account.released_micro_usdc:
            if escrow.is_disputed:
                return []
            return [
                relinquish(
                    deployment,
                    client_owner=client,
                    provider_owner=wallet,
                    job_id=account.job_id,
                    rent_payer=account.rent_payer,
                )
            ]
        terms = await self._market.terms()
        provider = await self._market.provider()
        statement = account.voucher(escrow.address, terms, amount)
        signed = SignedVoucher(statement, account.voucher_signer, bytes.fromhex(voucher.signature))
        return [
            ed25519_instruction([signed]),
            claim_voucher(
                deployment,
                client_owner=client,
                provider_owner=wallet,
                job_id=account.job_id,
                payout=deployment.token_account(provider.payout_owner if provider else wallet),
                treasury=terms.treasury,
                cumulative_micro_usdc=amount,
                ed25519_instruction_index=FIRST_INSTRUCTION_INDEX,
                # What is signed is not in dispute, but only the arbiter closes a disputed one.
                close_to=None if escrow.is_disputed else account.rent_payer,
            ),
        ]

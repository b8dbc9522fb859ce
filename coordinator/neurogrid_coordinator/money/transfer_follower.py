"""Sends the transactions that owners have signed and handed in, until each is final or dead."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from neurogrid_wallet.chain import ChainPosition, Commitment, SignatureStatuses
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.payment import Landed, Missing, Payment, advance, is_expired

from ..store import transfers
from ..store.database import Database
from .transfer import Transfer, TransferState, state_after
from .wallet_chain import TransferChain

_log = logging.getLogger(__name__)

# As many as one call for statuses takes.
_PAGE = 256
_LOOK_S = 1.0
_CHAIN_PAUSES_S = (1.0, 2.0, 5.0, 10.0)


class TransferFollower:
    """Follows what is under way. Whatever dies, the next start finds it in the database; several may
    follow the same one, since sending the same bytes twice does nothing twice.

    Args:
        changed: told the wallet of which something landed.
    """

    def __init__(
        self,
        database: Database,
        chain: TransferChain,
        changed: Callable[[str], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._chain = chain
        self._changed = changed
        self._now_ms = now_ms
        self._wake = asyncio.Event()

    def submitted(self) -> None:
        """Something new was handed in."""
        self._wake.set()

    async def run(self) -> None:
        """Follow for ever; cancel it to stop."""
        outages = 0
        while True:
            self._wake.clear()
            try:
                left = await self.look()
                outages = 0
            except RpcError as error:
                _log.warning("transfers wait for the chain: %s", error)
                await asyncio.sleep(_CHAIN_PAUSES_S[min(outages, len(_CHAIN_PAUSES_S) - 1)])
                outages += 1
                continue
            except Exception:  # noqa: BLE001 - the loop's boundary: it is tried again
                _log.exception("transfers")
                await asyncio.sleep(_CHAIN_PAUSES_S[-1])
                continue
            try:
                async with asyncio.timeout(_LOOK_S if left else None):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def look(self) -> bool:
        """Look at everything under way once; whether something is left.

        Raises:
            RpcError: the chain is away.
        """
        left = False
        after = ""
        while True:
            page = await self._database.read(transfers.under_way, after=after, limit=_PAGE)
            if page:
                left |= await self._look_at(page)
                after = page[-1].id
            if len(page) < _PAGE:
                return left

    async def _look_at(self, page: Sequence[Transfer]) -> bool:
        # The height first and the statuses after it: `neurogrid_wallet.payment` says why.
        position = await self._chain.position(Commitment.FINALIZED)
        payments = [transfer.payment for transfer in page]
        signatures = [payment.transaction.signature for payment in payments]
        answer = await self._chain.statuses(signatures)
        advanced: list[Payment] = []
        known_from_slot: int | None = None
        for payment, status in zip(payments, answer.statuses, strict=True):
            signature = payment.transaction.signature
            if status is not None:
                advanced.append(advance(payment, Landed(signature, status)))
            elif is_expired(payment.transaction, position):
                if known_from_slot is None:
                    # After the statuses, see `Missing`.
                    known_from_slot = await self._chain.first_available_slot()
                advanced.append(
                    advance(payment, _missing(signature, position, answer, known_from_slot))
                )
            else:
                await self._send(payment)
                advanced.append(payment)
        left = False
        for transfer, before, payment in zip(page, payments, advanced, strict=True):
            state = state_after(payment)
            if payment is not before:
                await self._save(transfer, state, payment)
            left |= state in (TransferState.SIGNED, TransferState.CONFIRMED)
        return left

    async def _send(self, payment: Payment) -> None:
        try:
            await self._chain.send(payment.transaction.raw)
        except RpcError as error:
            # Says nothing about whether it lands; the next look sends again.
            _log.info("transfer %s was not taken: %s", payment.payment_id, error)

    async def _save(self, transfer: Transfer, state: TransferState, payment: Payment) -> None:
        failure = "" if payment.failure is None else str(payment.failure)
        await self._database.write(
            transfers.save_state,
            transfer.id,
            state,
            payment.landed_slot,
            failure,
            self._now_ms(),
        )
        self._changed(transfer.wallet)
        _log.info("transfer %s is %s %s", transfer.id, state.value, failure)


def _missing(
    signature: str, position: ChainPosition, answer: SignatureStatuses, known_from_slot: int
) -> Missing:
    return Missing(signature, position, answer.slot, known_from_slot)

"""Redeeming what a machine's leases have earned: each in a thread of its own, once at a time."""

import logging
import threading
from collections.abc import Callable

from neurogrid_marketplace.messages import VoucherMessage

from .leases import RESEND_MS
from .threads import Threads

_log = logging.getLogger(__name__)

# Redeems a lease's last voucher, or (None) gives its escrow up; the transaction, "" where it was closed otherwise.
# Takes as long as it takes, and returns None only when told to stop.
Redeem = Callable[[str, VoucherMessage | None, threading.Event], str | None]


class Redeeming:
    """What is being redeemed.

    Args:
        changed: the machine's lock; what is said of a lease is said with it.
        redeemed: hears of a lease that is, and of the transaction.
    """

    def __init__(
        self,
        redeem: Redeem,
        threads: Threads,
        changed: threading.Condition,
        redeemed: Callable[[str, str], None],
    ) -> None:
        self._redeem = redeem
        self._threads = threads
        self._changed = changed
        self._redeemed = redeemed
        self._under_way: set[str] = set()

    def begin(self, lease_id: str, voucher: VoucherMessage | None) -> None:
        """Redeem a lease's voucher, unless that is under way; called with the machine's lock."""
        if lease_id in self._under_way or self._threads.closing.is_set():
            return
        self._under_way.add(lease_id)

        def run() -> None:
            closing = self._threads.closing
            try:
                transaction = self._redeem(lease_id, voucher, closing)
            except Exception:  # noqa: BLE001 - a thread's outermost boundary: it is begun again soon
                if closing.is_set():
                    return
                _log.exception("task %s could not be redeemed", lease_id)
                closing.wait(RESEND_MS / 1000)
                transaction = None
            with self._changed:
                self._under_way.discard(lease_id)
                if transaction is not None and not closing.is_set():
                    self._redeemed(lease_id, transaction)

        self._threads.begin(run)

"""Payments that have to wait, and that the outbox says why."""

import anyio

from neurogrid_wallet.errors import PaymentTimeout
from neurogrid_wallet.outbox import Outbox

# Nothing here takes so long: waiting for it is a failure.
_PATIENT_S = 10.0


async def waits_because(
    outbox: Outbox, payment_id: str, about: str, *, timeout_s: float = 0.02
) -> None:
    """Wait until this is why the payment waits; however slow the machine is.

    Args:
        about: a part of what the timeout says.
        timeout_s: of each question.
    """
    with anyio.fail_after(_PATIENT_S):
        while True:
            try:
                await outbox.finalized(payment_id, timeout_s)
            except PaymentTimeout as error:
                if about in str(error):
                    return
            else:
                raise AssertionError("it was decided")

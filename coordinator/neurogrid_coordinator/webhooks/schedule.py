"""When a delivery is tried again, when it is given up, and when its webhook is. Pure.

Delays double from the webhook's own ``backoff_s``. A webhook is disabled only after it has failed both often and
for long: a receiver that is down for a night loses what its attempts did not outlast, and not its webhook.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from zlib import crc32

from ..store.webhooks import WebhookRow, WebhookState

ATTEMPTS_MAX = 20
ATTEMPTS = 8
BACKOFF_MAX_S = 3600
BACKOFF_S = 10
# The longest pause between two attempts, whatever doubling comes to.
DELAY_MAX_S = 6 * 3600
# The longest that a receiver may put us off for (Retry-After).
PUT_OFF_MAX_S = 3600
# One attempt, from the lookup of the name to the last byte of the answer.
ATTEMPT_LIMIT_S = 15
# When somebody else tries, where nothing more is heard of an attempt: its coordinator died. Twice as long as it
# may take, so that a busy database is not taken for a dead coordinator.
ABANDONED_AFTER_MS = 2 * 1000 * ATTEMPT_LIMIT_S

DISABLE_AFTER_MS = 24 * 3_600_000
DISABLE_FAILURES = 10
# What one webhook may have waiting, and for how long (a paused one, say): all that a batch of the largest size
# makes, a few times.
WAITING_MAX = 100_000
WAITING_AGE_MAX_MS = 7 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt.

    Attributes:
        status: the receiver's; None where there was no answer.
        error: what was wrong, in words; "" for nothing.
        retry_after_s: how long the receiver asks us to wait.
        answer: the beginning of what it said.
    """

    status: int | None = None
    error: str = ""
    retry_after_s: int | None = None
    answer: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300 and not self.error


class Fate(StrEnum):
    """What becomes of a delivery after an attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an attempt.

    Attributes:
        again_at_ms: of a retry.
        webhook: as it is after this.
        is_disabled: whether it was disabled by this.
    """

    fate: Fate
    again_at_ms: int
    webhook: WebhookRow
    is_disabled: bool


def decide(
    webhook: WebhookRow,
    delivery_id: str,
    *,
    attempts: int,
    attempts_max: int,
    outcome: Outcome,
    now_ms: int,
) -> Verdict:
    """What follows from attempt number ``attempts`` of a delivery."""
    if outcome.is_good:
        well = replace(webhook, failures=0, failing_since_ms=None, delivered_at_ms=now_ms)
        return Verdict(Fate.DELIVERED, 0, well, is_disabled=False)
    since_ms = now_ms if webhook.failing_since_ms is None else webhook.failing_since_ms
    failing = replace(webhook, failing_since_ms=since_ms)
    if outcome.status == HTTPStatus.GONE:
        return Verdict(Fate.FAILED, 0, *_disabled(failing, "its receiver answers 410 Gone", now_ms))
    if attempts < attempts_max:
        delay_ms = retry_delay_ms(webhook.backoff_s, attempts, delivery_id)
        if outcome.retry_after_s is not None:
            delay_ms = max(delay_ms, 1000 * min(outcome.retry_after_s, PUT_OFF_MAX_S))
        return Verdict(Fate.RETRY, now_ms + delay_ms, failing, is_disabled=False)
    failing = replace(failing, failures=webhook.failures + 1)
    if failing.failures >= DISABLE_FAILURES and now_ms - since_ms >= DISABLE_AFTER_MS:
        hours = (now_ms - since_ms) // 3_600_000
        reason = f"{failing.failures} deliveries in a row have failed, for {hours} hours: {outcome.error}"
        return Verdict(Fate.FAILED, 0, *_disabled(failing, reason[:500], now_ms))
    return Verdict(Fate.FAILED, 0, failing, is_disabled=False)


def retry_delay_ms(backoff_s: int, attempts: int, delivery_id: str) -> int:
    """How long to wait after so many attempts: doubled each time, spread over a tenth more.

    The spread hangs on the delivery, so that what failed together does not come back together.
    """
    delay_ms = 1000 * min(backoff_s << min(attempts - 1, 20), DELAY_MAX_S)
    return delay_ms + delay_ms * (crc32(f"{delivery_id}/{attempts}".encode()) % 1000) // 10_000


def overfull(webhook: WebhookRow, waiting: int, now_ms: int) -> WebhookRow | None:
    """The webhook, disabled, if too much waits for it; None if not."""
    if waiting <= WAITING_MAX or webhook.state not in (WebhookState.ACTIVE, WebhookState.PAUSED):
        return None
    reason = f"{waiting} deliveries are waiting, and {WAITING_MAX} may"
    return _disabled(webhook, reason, now_ms)[0]


def _disabled(webhook: WebhookRow, reason: str, now_ms: int) -> tuple[WebhookRow, bool]:
    if webhook.state is WebhookState.DELETED:
        return webhook, False
    disabled = replace(webhook, state=WebhookState.DISABLED, reason=reason, updated_at_ms=now_ms)
    return disabled, webhook.state is not WebhookState.DISABLED

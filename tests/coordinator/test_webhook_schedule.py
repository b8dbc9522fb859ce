"""When deliveries are tried again and given up; what is signed; which names and filters there are."""

import hashlib
import hmac
from dataclasses import replace

import pytest

from coordinator.records import NOW_MS
from neurogrid_coordinator.event_filter import EventFilter
from neurogrid_coordinator.event_kinds import EVENT_KINDS, UnknownEvent, wanted_kinds
from neurogrid_coordinator.store.webhooks import Signature, WebhookRow, WebhookState
from neurogrid_coordinator.webhooks.message import BODY_BYTES_MAX, body_of, signature
from neurogrid_coordinator.webhooks.schedule import (
    DISABLE_AFTER_MS,
    DISABLE_FAILURES,
    WAITING_MAX,
    Fate,
    Outcome,
    Verdict,
    decide,
    overfull,
    retry_delay_ms,
)

HOOK = WebhookRow(
    id="webhook_1",
    account_id="acct_1",
    url="https://hooks.example.org/",
    host="hooks.example.org",
    description="",
    events=("task.completed",),
    filter=EventFilter(),
    secret="s" * 16,
    signature=Signature.TIMESTAMPED,
    max_attempts=3,
    backoff_s=10,
    state=WebhookState.ACTIVE,
    reason="",
    failures=0,
    failing_since_ms=None,
    delivered_at_ms=None,
    created_at_ms=NOW_MS,
    updated_at_ms=NOW_MS,
)
BAD = Outcome(500, "it answers 500")


def verdict(
    hook: WebhookRow = HOOK, attempts: int = 1, outcome: Outcome = BAD, now_ms: int = NOW_MS
) -> Verdict:
    return decide(
        hook, "delivery_1", attempts=attempts, attempts_max=3, outcome=outcome, now_ms=now_ms
    )


def test_delays_double_from_the_backoff_are_bounded_and_spread_by_delivery() -> None:
    delays = [retry_delay_ms(10, attempts, "delivery_1") for attempts in range(1, 30)]
    for attempts, delay_ms in enumerate(delays, 1):
        least_ms = min(10_000 * 2 ** (attempts - 1), 6 * 3_600_000)
        assert least_ms <= delay_ms <= least_ms * 1.1
    assert len({retry_delay_ms(10, 1, f"delivery_{i}") for i in range(100)}) > 50
    assert retry_delay_ms(3600, 1000, "x") <= 6 * 3_600_000 * 1.1


def test_what_fails_is_tried_again_until_its_attempts_are_used_up() -> None:
    first = verdict()
    assert (first.fate, first.webhook.failing_since_ms) == (Fate.RETRY, NOW_MS)
    assert first.again_at_ms >= NOW_MS + 10_000
    last = verdict(attempts=3)
    assert (last.fate, last.webhook.failures, last.is_disabled) == (Fate.FAILED, 1, False)


def test_success_forgets_what_failed_before() -> None:
    failing = replace(HOOK, failures=7, failing_since_ms=1)
    good = verdict(failing, outcome=Outcome(204))
    assert good.fate is Fate.DELIVERED
    assert (good.webhook.failures, good.webhook.failing_since_ms) == (0, None)
    assert good.webhook.delivered_at_ms == NOW_MS


def test_a_receiver_may_put_us_off_for_an_hour_and_no_longer() -> None:
    later = verdict(outcome=replace(BAD, status=503, retry_after_s=100))
    assert later.again_at_ms == NOW_MS + 100_000
    far = verdict(outcome=replace(BAD, status=429, retry_after_s=10**8))
    assert far.again_at_ms == NOW_MS + 3_600_000


def test_a_webhook_is_disabled_only_after_failing_both_often_and_for_long() -> None:
    often = replace(HOOK, failures=DISABLE_FAILURES - 1, failing_since_ms=NOW_MS)
    assert not verdict(often, attempts=3).is_disabled
    long = replace(HOOK, failing_since_ms=NOW_MS - DISABLE_AFTER_MS)
    assert not verdict(long, attempts=3).is_disabled
    both = replace(often, failing_since_ms=NOW_MS - DISABLE_AFTER_MS)
    assert not verdict(both, attempts=2).is_disabled
    ended = verdict(both, attempts=3)
    assert ended.is_disabled
    assert ended.webhook.state is WebhookState.DISABLED
    assert (
        "10 deliveries in a row have failed, for 24 hours: it answers 500" in ended.webhook.reason
    )


def test_a_receiver_that_is_gone_is_believed_at_once() -> None:
    gone = verdict(outcome=Outcome(410, "it answers 410"))
    assert (gone.fate, gone.is_disabled) == (Fate.FAILED, True)
    again = verdict(gone.webhook, outcome=Outcome(410, "it answers 410"))
    assert not again.is_disabled, "it was before"


def test_what_was_deleted_meanwhile_stays_deleted() -> None:
    deleted = replace(HOOK, state=WebhookState.DELETED)
    gone = verdict(deleted, outcome=Outcome(410, "it answers 410"))
    assert gone.webhook.state is WebhookState.DELETED
    assert overfull(deleted, WAITING_MAX + 1, NOW_MS) is None


def test_too_much_that_waits_disables() -> None:
    assert overfull(HOOK, WAITING_MAX, NOW_MS) is None
    full = overfull(HOOK, WAITING_MAX + 1, NOW_MS)
    assert full is not None
    assert full.reason == "100001 deliveries are waiting, and 100000 may"


def test_signatures_are_the_documents_hex_over_the_body_alone_or_with_the_timestamp() -> None:
    secret, body = "your-webhook-secret", '{"id": "é"}'
    plain = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    assert signature(secret, Signature.PAYLOAD, 1_700_000_000, body) == plain
    both = hmac.new(secret.encode(), f"1700000000.{body}".encode(), hashlib.sha256).hexdigest()
    assert signature(secret, Signature.TIMESTAMPED, 1_700_000_000, body) == both


def test_a_body_is_bounded_and_says_that_it_was_cut() -> None:
    made = {
        "delivery_id": "d",
        "webhook_id": "w",
        "kind": "batch.completed",
        "created_at": "now",
        "is_test": False,
    }
    assert '"data":{"a":1}' in body_of(**made, data={"a": 1})  # type: ignore[arg-type]  # as above
    long = body_of(**made, data={"a": "x" * BODY_BYTES_MAX})  # type: ignore[arg-type]  # as above
    assert '"data":{"truncated":true}' in long


def test_every_event_of_the_documents_may_be_asked_for_and_others_are_refused_with_the_list() -> (
    None
):
    documented = (
        "task.created",
        "task.started",
        "task.progress",
        "task.completed",
        "task.failed",
        "batch.created",
        "batch.started",
        "batch.completed",
        "batch.failed",
        "scheduled_task.executed",
        "node.status",
        "system.alert",
    )
    assert set(wanted_kinds(documented)) == set(documented)
    assert wanted_kinds(["task.complete", "task.completed"]) == ("task.completed",)
    assert "batch.failed" in wanted_kinds(["batch.finished"])
    with pytest.raises(UnknownEvent) as refused:
        wanted_kinds(["task.completed", "task.eaten"])
    for name in ("'task.eaten'", *EVENT_KINDS):
        assert name in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "ids", "name", "passes"),
    [
        (EventFilter(), {"task_1"}, None, True),
        (EventFilter(about=("task_1", "node")), {"node"}, "x", True),
        (EventFilter(about=("task_1",)), {"task_2"}, "x", False),
        (EventFilter(task_name_prefix="night"), {"task_1"}, "nightly", True),
        (EventFilter(task_name_prefix="night"), {"task_1"}, "daily", False),
        (EventFilter(task_name_prefix="night"), {"batch_1"}, None, False),
        (EventFilter(("task_1",), "night"), {"task_2"}, "nightly", False),
    ],
)
def test_filters_let_through_what_fits_all_that_they_say(
    rule: EventFilter, ids: set[str], name: str | None, passes: bool
) -> None:
    assert rule.admits(ids, name) is passes

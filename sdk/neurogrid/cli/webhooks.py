"""``neurogrid webhooks``: have a URL told of what happens, and see what became of it."""

from typing import Any

import click

from ..models.webhooks import (
    Delivery,
    DeliveryDetail,
    DeliveryState,
    SignatureForm,
    Webhook,
    WebhookState,
)
from .durations import Duration
from .exit_codes import FAILED
from .output import age, print_fields, print_json, print_table, printable, when
from .session import Session, with_session

# Document 000's names of events.
_OTHER_NAMES = {"task.complete": "task.completed", "task.error": "task.failed"}


@click.group("webhooks")
def webhooks() -> None:
    """Have a URL of yours told of what happens.

    WEBHOOK is a webhook's id. What arrives, and how it is verified: docs/webhooks.md.
    """


@webhooks.command("events")
@with_session
def list_events(session: Session) -> None:
    """List the events that there are."""
    events = session.client.webhooks.events()
    if session.as_json:
        print_json(events)
        return
    print_table(("EVENT", "WHEN"), ((event.name, event.description) for event in events))


@webhooks.command("list")
@click.option("--state", type=click.Choice(("active", "paused", "disabled")))
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_webhooks(session: Session, *, state: WebhookState | None, limit: int, offset: int) -> None:
    """List your webhooks, newest first."""
    page = session.client.webhooks.list(state=state, limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("ID", "STATE", "AGE", "DELIVERED", "EVENTS", "URL"),
        (
            (
                hook.id,
                hook.state if hook.failing_since is None else f"{hook.state}, failing",
                age(hook.created_at),
                age(hook.last_delivered_at) if hook.last_delivered_at else "never",
                ",".join(hook.events),
                hook.url,
            )
            for hook in page.webhooks
        ),
    )
    if page.total > offset + len(page.webhooks):
        click.echo(f"{page.total} in all; --offset {offset + limit} shows more.", err=True)


@webhooks.command("create")
@click.argument("url")
@click.option("--event", "events", multiple=True, required=True, help="May be repeated.")
@click.option("--description", default="")
@click.option(
    "--secret", envvar="NEUROGRID_WEBHOOK_SECRET", help="Of yours; one is made by default."
)
@click.option("--signature", type=click.Choice(("timestamped", "payload")), default="timestamped")
@click.option("--about", multiple=True, help="Only of this task, workflow, batch or node.")
@click.option("--task-name-prefix", default="", help="Only of tasks whose name begins so.")
@click.option("--max-attempts", type=click.IntRange(1, 20))
@click.option("--backoff", type=Duration(), help="Before the second attempt; doubles [10s].")
@click.option("--idempotency-key", help="The same key with the same options is the same webhook.")
@with_session
def create_webhook(
    session: Session,
    *,
    url: str,
    events: tuple[str, ...],
    description: str,
    secret: str | None,
    signature: SignatureForm,
    about: tuple[str, ...],
    task_name_prefix: str,
    max_attempts: int | None,
    backoff: int | None,
    idempotency_key: str | None,
) -> None:
    """Have URL told of events. The secret alone goes to standard output, this once."""
    made = session.client.webhooks.create(
        url,
        events,
        description=description,
        secret=secret,
        signature=signature,
        about=about,
        task_name_prefix=task_name_prefix,
        max_attempts=max_attempts,
        backoff_s=backoff,
        idempotency_key=idempotency_key,
    )
    if session.as_json:
        print_json(made)
        return
    click.echo(made.secret)
    click.echo(f"{made.id} is told of {', '.join(made.events)}.", err=True)


@webhooks.command("show")
@click.argument("webhook_id", metavar="WEBHOOK")
@with_session
def show_webhook(session: Session, *, webhook_id: str) -> None:
    """Show a webhook."""
    _print_webhook(session, session.client.webhooks.get(webhook_id))


@webhooks.command("update")
@click.argument("webhook_id", metavar="WEBHOOK")
@click.option("--url")
@click.option("--event", "events", multiple=True, help="All of them; may be repeated.")
@click.option("--description")
@click.option("--signature", type=click.Choice(("timestamped", "payload")))
@with_session
def update_webhook(
    session: Session,
    *,
    webhook_id: str,
    url: str | None,
    events: tuple[str, ...],
    description: str | None,
    signature: str | None,
) -> None:
    """Change what is named, and leave the rest."""
    wanted: dict[str, Any] = {
        "url": url,
        "events": list(events) or None,
        "description": description,
        "signature": signature,
    }
    changes = {name: value for name, value in wanted.items() if value is not None}
    _print_webhook(session, session.client.webhooks.update(webhook_id, **changes))


@webhooks.command("rotate-secret")
@click.argument("webhook_id", metavar="WEBHOOK")
@click.option(
    "--secret", envvar="NEUROGRID_WEBHOOK_SECRET", help="Of yours; one is made by default."
)
@with_session
def rotate_secret(session: Session, *, webhook_id: str, secret: str | None) -> None:
    """Sign with another secret from now on. It alone goes to standard output, this once."""
    made = session.client.webhooks.rotate_secret(webhook_id, secret=secret)
    if session.as_json:
        print_json(made)
    else:
        click.echo(made.secret)


@webhooks.command("pause")
@click.argument("webhook_id", metavar="WEBHOOK")
@with_session
def pause_webhook(session: Session, *, webhook_id: str) -> None:
    """Keep what happens, and send it when the webhook is resumed."""
    _print_webhook(session, session.client.webhooks.pause(webhook_id))


@webhooks.command("resume")
@click.argument("webhook_id", metavar="WEBHOOK")
@with_session
def resume_webhook(session: Session, *, webhook_id: str) -> None:
    """Go on telling a webhook that is paused or disabled."""
    _print_webhook(session, session.client.webhooks.resume(webhook_id))


@webhooks.command("delete")
@click.argument("webhook_ids", metavar="WEBHOOK...", nargs=-1, required=True)
@with_session
def delete_webhooks(session: Session, *, webhook_ids: tuple[str, ...]) -> None:
    """Delete webhooks with all their deliveries."""
    for webhook_id in webhook_ids:
        session.client.webhooks.delete(webhook_id)
        if not session.as_json:
            click.echo(f"{webhook_id} deleted")
    if session.as_json:
        print_json([{"id": webhook_id, "deleted": True} for webhook_id in webhook_ids])


@webhooks.command("test")
@click.argument("webhook_id", metavar="[WEBHOOK]", required=False)
@click.option(
    "--url",
    help="In place of WEBHOOK: the one of this URL; without one, one that is there for the test alone.",
)
@click.option("--event", default="task.completed", show_default=True)
@with_session
def test_webhook(session: Session, *, webhook_id: str | None, url: str | None, event: str) -> None:
    """Send a made-up event, and say what the receiver answers; fails where it does not take it.

    \b
    neurogrid webhook test --url https://your-app.com/webhook --event task.completed
    """
    hooks = session.client.webhooks
    if (webhook_id is None) == (url is None):
        raise click.UsageError("Name a webhook, or its --url.")
    name = _OTHER_NAMES.get(event, event)
    made = None
    if webhook_id is None:
        assert url is not None, "one of the two is there"
        webhook_id = next((hook.id for hook in hooks.iterate() if hook.url == url), None)
    if webhook_id is None:
        assert url is not None, "without an id there is a URL"
        made = hooks.create(url, (name,), description="`neurogrid webhook test`")
        webhook_id = made.id
        if not session.as_json:
            click.echo(f"No webhook has this URL: {made.id} is there for the test alone.", err=True)
            click.echo(f"It is signed with the secret {made.secret}", err=True)
    try:
        outcome = hooks.wait(hooks.test(webhook_id, name))
    finally:
        if made is not None:
            hooks.delete(made.id)
    _print_outcome(session, outcome)


@webhooks.command("deliveries")
@click.argument("webhook_id", metavar="WEBHOOK")
@click.argument("delivery_id", metavar="[DELIVERY]", required=False)
@click.option("--state", type=click.Choice(("pending", "delivered", "failed")))
@click.option("--event")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_deliveries(
    session: Session,
    *,
    webhook_id: str,
    delivery_id: str | None,
    state: DeliveryState | None,
    event: str | None,
    limit: int,
    offset: int,
) -> None:
    """List what was told and what was not, newest first; or show one delivery with its attempts."""
    hooks = session.client.webhooks
    if delivery_id is not None:
        _print_delivery(session, hooks.delivery(webhook_id, delivery_id))
        return
    page = hooks.deliveries(webhook_id, state=state, event=event, limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("ID", "EVENT", "STATE", "ATTEMPTS", "AGE", "ABOUT"),
        (
            (one.id, one.event, one.state, _attempts(one), age(one.created_at), one.subject_id)
            for one in page.deliveries
        ),
    )
    if page.total > offset + len(page.deliveries):
        click.echo(f"{page.total} in all; --offset {offset + limit} shows more.", err=True)


@webhooks.command("redeliver")
@click.argument("webhook_id", metavar="WEBHOOK")
@click.argument("delivery_ids", metavar="DELIVERY...", nargs=-1, required=True)
@with_session
def redeliver(session: Session, *, webhook_id: str, delivery_ids: tuple[str, ...]) -> None:
    """Send deliveries once more, under the same ids."""
    sent = [session.client.webhooks.redeliver(webhook_id, each) for each in delivery_ids]
    if session.as_json:
        print_json(sent)
        return
    for one in sent:
        click.echo(f"{one.id} {one.state}")


def _print_webhook(session: Session, hook: Webhook) -> None:
    if session.as_json:
        print_json(hook)
        return
    print_fields(
        (
            ("id", hook.id),
            ("state", hook.state),
            ("reason", hook.reason),
            ("url", hook.url),
            ("events", ", ".join(hook.events)),
            ("about", ", ".join(hook.filter.about)),
            ("task names", hook.filter.task_name_prefix and f"{hook.filter.task_name_prefix}…"),
            ("signature", hook.signature),
            ("attempts", f"{hook.retries.max_attempts}, from {hook.retries.backoff_seconds} s"),
            ("failing since", when(hook.failing_since)),
            ("last delivered", when(hook.last_delivered_at)),
            ("description", hook.description),
        )
    )


def _print_outcome(session: Session, delivery: DeliveryDetail) -> None:
    _print_delivery(session, delivery)
    if delivery.state != "delivered":
        raise click.exceptions.Exit(FAILED)


def _print_delivery(session: Session, delivery: DeliveryDetail) -> None:
    if session.as_json:
        print_json(delivery)
        return
    print_fields(
        (
            ("id", delivery.id),
            ("event", delivery.event),
            ("about", delivery.subject_id),
            ("state", delivery.state),
            ("attempts", _attempts(delivery)),
            ("next attempt", when(delivery.next_attempt_at)),
        )
    )
    for attempt in delivery.log:
        answer = f"{attempt.status}" if attempt.status else "no answer"
        took = "" if attempt.took_ms is None else f" after {attempt.took_ms} ms"
        why = f": {attempt.error}" if attempt.error else ""
        click.echo(printable(f"{attempt.number}. {when(attempt.at)} {answer}{took}{why}"))
        if attempt.answer:
            click.echo(printable(f"   {attempt.answer}"))


def _attempts(delivery: Delivery) -> str:
    return f"{delivery.attempts} of {delivery.attempts_max}"

"""``neurogrid usage`` and ``neurogrid stats``."""

import click

from ..models.figures import ModelUsage
from .output import print_fields, print_json, usdc, when
from .session import Session, with_session


@click.command()
@with_session
def usage(session: Session) -> None:
    """Show what you have used this month, and your limits."""
    found, limits = session.client.analytics.get_usage(), session.client.limits.get()
    if session.as_json:
        print_json({"usage": found, "limits": limits})
        return
    month = found.current_month
    rate = limits.requests_per_minute
    print_fields(
        [
            ("completed", f"{month.tasks_completed} tasks, {month.compute_time} of computing"),
            ("cost", f"{usdc(month.total_cost)}  of the tasks that have ended"),
            ("budget", usdc(limits.monthly_budget) or "no limit"),
            ("used of it", f"{usdc(limits.used.budget)}  spent or promised"),
            ("tasks", f"{limits.used.tasks} of {limits.monthly_tasks or 'any number'}"),
            ("a task", usdc(limits.task_budget) or "no limit"),
            ("requests", "no limit" if rate is None else f"{rate} per minute ({limits.tier})"),
            ("anew from", when(limits.used.until)),
            *((each.model, _model(each)) for each in found.models),
        ]
    )


def _model(used: ModelUsage) -> str:
    counts = (
        (used.requests, "requests"),
        (used.input_tokens + used.cached_input_tokens, "tokens read"),
        (used.output_tokens, "tokens written"),
        (used.images, "images"),
        (used.audio_seconds, "seconds heard"),
    )
    words = [f"{count} {name}" for count, name in counts if count]
    return f"{', '.join(words) or 'nothing yet'}, {usdc(used.cost)} of what has ended"


@click.command()
@with_session
def stats(session: Session) -> None:
    """Show figures of the market."""
    found = session.client.analytics.get_stats()
    if session.as_json:
        print_json(found)
        return
    print_fields(
        [
            ("nodes", f"{found.active_nodes} connected of {found.total_nodes} known"),
            ("today", f"{found.total_tasks_today} tasks"),
            ("start", f"{found.average_response_time:.1f} s after submission, on average"),
            ("uptime", f"{found.network_uptime:g} % of leases"),
            ("computed", f"{found.total_compute_hours:.1f} hours"),
        ]
    )

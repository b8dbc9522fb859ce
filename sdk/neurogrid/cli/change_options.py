"""What commands that change a task's request take, as the SDK's `Changes`."""

from collections.abc import Callable
from typing import Any

import click

from .durations import Duration
from .submit_values import Moment, PriorityType

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--name", metavar="TEXT", help="For people."),
    click.option(
        "--max-price", metavar="USDC", help="Bids above this per hour are not considered."
    ),
    click.option("--max-total", metavar="USDC|none", help="The most it may cost in all."),
    click.option("--timeout", type=Duration(), help="The longest it may run."),
    click.option(
        "--queue-timeout", type=Duration(), help="How long it may wait, from when it was queued."
    ),
    click.option(
        "--priority",
        type=PriorityType(),
        metavar="high|normal|low|1-10",
        help="10 is the most urgent.",
    ),
    click.option("--reason", metavar="TEXT", help="Why it has that priority, for people."),
    click.option(
        "--deadline", type=Moment(), help="End by then: 2h from now, or 2030-01-15T10:30Z."
    ),
    click.option("--no-deadline", is_flag=True, help="It need not end by any time."),
    click.option(
        "--deadline-policy",
        type=click.Choice(["end", "run"]),
        help="What becomes of a task that can't keep its deadline any more.",
    ),
    click.option("--cpu", type=float, metavar="CORES", help="CPU cores."),
    click.option("--ram", type=float, metavar="GB", help="Memory."),
    click.option("--storage", type=float, metavar="GB", help="Disk it may write."),
    click.option("--gpu", type=int, metavar="COUNT", help="GPUs of one machine; 0: none."),
    click.option("--gpu-memory", type=float, metavar="GB", help="Least memory of each GPU."),
    click.option("--gpu-model", metavar="TEXT", help="Text in the GPU's model name."),
    click.option("--region", "regions", multiple=True, help="Any of these. Repeatable."),
    click.option("--where", metavar="CONDITIONS", help='In place of those before; "" for none.'),
    click.option(
        "--wait-for-node/--no-wait-for-node", default=None, help="Wait for one that may come."
    ),
)
_SAME = {
    "name": "name",
    "max_price": "max_price_per_hour",
    "timeout": "timeout_seconds",
    "queue_timeout": "queue_timeout_seconds",
    "priority": "priority",
    "reason": "priority_reason",
    "deadline": "deadline",
    "deadline_policy": "deadline_policy",
    "where": "where",
    "wait_for_node": "wait_for_node",
}
_RESOURCES = {
    "cpu": "cpu_cores",
    "ram": "ram_gb",
    "storage": "storage_gb",
    "gpu": "gpu_count",
    "gpu_memory": "gpu_memory_gb",
    "gpu_model": "gpu_model",
}


def change_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options; the command gets them as keywords, for `changes_of`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def changes_of(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as keywords of `Tasks.update`."""
    if given["no_deadline"] and given["deadline"] is not None:
        raise click.BadParameter("goes without --deadline", param_hint="--no-deadline")
    changes = {name: given[option] for option, name in _SAME.items() if given[option] is not None}
    resources = {
        name: given[option] for option, name in _RESOURCES.items() if given[option] is not None
    }
    if resources:
        changes["resource_requirements"] = resources
    if given["regions"]:
        changes["regions"] = given["regions"]
    if given["no_deadline"]:
        changes["deadline"] = None
    if given["max_total"] is not None:
        changes["max_total_cost"] = None if given["max_total"] == "none" else given["max_total"]
    return changes

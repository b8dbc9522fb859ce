"""``neurogrid submit``."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import click

from ..models import Task
from ..task_body import Priority
from . import submit_values
from .checkpoints import checkpoint_options
from .direct import OwnCoordinator, direct_options
from .durations import Duration
from .estimates import show_estimate
from .exit_codes import FAILED
from .following import send_key, watch
from .output import print_json, usdc
from .resources import Resources, resource_options
from .session import Session, with_session
from .verification import verification_options


@click.command()
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@resource_options
@click.option("--name", default="", help="To recognise it by.")
@click.option(
    "--timeout", type=Duration(), default="1h", show_default=True, help="The longest it may run."
)
@click.option("--queue-timeout", type=Duration(), help="How long it may wait for a node.")
@click.option(
    "--priority",
    type=submit_values.PriorityType(),
    default="normal",
    metavar="high|normal|low|1-10",
    help="Order among your own waiting tasks; 10 is the most urgent.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why it has that priority, for people.")
@click.option(
    "--deadline",
    type=submit_values.Moment(),
    help="End by then: 2h from now, or 2030-01-15T10:30Z. Nodes that can't keep it do not bid.",
)
@click.option(
    "--deadline-policy",
    type=click.Choice(["end", "run"]),
    help="What becomes of a task that can't keep its deadline any more [default: end].",
)
@click.option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="For the job. Repeatable.")
@click.option(
    "--input",
    "-i",
    "inputs",
    multiple=True,
    metavar="FILE[:PATH]",
    help="A file or folder to upload; the job finds it below /inputs. One that you have uploaded before "
    "can be named by its hash, as sha256:HASH:PATH; one on the web as https://...[#sha256=HASH][:PATH], "
    "which the coordinator fetches. Repeatable.",
)
@click.option(
    "--spread",
    metavar="GROUP[:BY]",
    help="Share no node (BY wallet: no owner; BY region) with other tasks of GROUP while they run.",
)
@click.option(
    "--avoid-node", "avoid_nodes", multiple=True, metavar="ID", help="Not there. Repeatable."
)
@click.option(
    "--avoid-wallet",
    "avoid_wallets",
    multiple=True,
    metavar="ADDRESS",
    help="On no node of this owner. Repeatable.",
)
@click.option(
    "--after",
    multiple=True,
    metavar="TASK",
    help="Start only when this task has completed; fail if it fails. Repeatable.",
)
@click.option(
    "--input-from",
    multiple=True,
    metavar="TASK:OUTPUT[:PATH]",
    help="An output of another task, which is waited for; found below /inputs. Repeatable.",
)
@click.option(
    "--sealed-bids", is_flag=True, help="Nodes commit to their bids before anybody sees one."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="The job serves at this port; `neurogrid port-forward` takes you there while it runs.",
)
@click.option(
    "--health",
    metavar="/PATH",
    help="With --port: GET /PATH answers with less than 400 while it is well. One that is not for a minute is ended.",
)
@click.option(
    "--health-start",
    type=Duration(),
    help="With --health: how long it may take to become ready [default: 10m].",
)
@click.option("--max-total", metavar="USDC", help="The most it may cost in all.")
@verification_options
@checkpoint_options
@click.option(
    "--gang",
    metavar="SIZE[:APART]",
    help="Run it on so many nodes at once, or on none (APART wallet: of different owners).",
)
@click.option(
    "--tries",
    type=click.IntRange(1, 4),
    help="Of a gang: how often it may begin, if a lost node ends what has cost something [default: 1].",
)
@click.option("--wait-for-node", is_flag=True, help="Queue even if no known node could serve it.")
@click.option(
    "--sealed",
    is_flag=True,
    help="Seal the inputs, so that only the node that gets the job can read them. Waits for that node "
    "to send it the key; `neurogrid keys serve` goes on if this is interrupted.",
)
@click.option(
    "--registry-auth",
    metavar="FILE|env:NAME",
    help="Credentials for the image's registry: USER:PASSWORD, or Docker's config.json, in a file or a "
    "variable. Sealed with the inputs (implies --sealed) and used for this pull alone.",
)
@click.option(
    "--pin",
    is_flag=True,
    help="Ask the image's registry now which bytes its tag stands for, and submit that digest: all runs and "
    "retries then have the same.",
)
@click.option("--idempotency-key", help="The same key with the same job is the same task.")
@click.option("--dry-run", is_flag=True, help="Say what it would likely cost, and submit nothing.")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit 1 unless it completed.")
@click.option("--follow", "-f", is_flag=True, help="Wait, and print its log as it comes.")
@click.option(
    "--output-dir",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    help="Wait, and fetch its output files into this folder.",
)
@direct_options
@with_session
def submit(
    session: Session,
    *,
    image: str,
    command: tuple[str, ...],
    resources: Resources,
    name: str,
    timeout: int,
    queue_timeout: int | None,
    priority: Priority,
    reason: str,
    deadline: datetime | None,
    deadline_policy: Literal["end", "run"] | None,
    env: tuple[str, ...],
    inputs: tuple[str, ...],
    spread: str | None,
    avoid_nodes: tuple[str, ...],
    avoid_wallets: tuple[str, ...],
    after: tuple[str, ...],
    input_from: tuple[str, ...],
    port: int | None,
    health: str | None,
    health_start: int | None,
    max_total: str | None,
    verification: dict[str, Any] | None,
    checkpoints: dict[str, Any],
    gang: str | None,
    tries: int | None,
    wait_for_node: bool,
    sealed_bids: bool,
    sealed: bool,
    registry_auth: str | None,
    pin: bool,
    idempotency_key: str | None,
    dry_run: bool,
    wait: bool,
    follow: bool,
    output_dir: Path | None,
) -> None:
    """Submit a job: IMAGE and, after --, its COMMAND.

    \b
    neurogrid submit python:3.12-slim --max-price 0.50 -f -- python -c 'print("hello")'
    neurogrid submit my/image --gpu 1 --gpu-memory 24 --max-price 2 -i data/ -o results/

    With --direct no coordinator is needed: your own machine holds the auction, among the nodes that
    you name. Interrupted and typed again, it goes on (docs/direct.md).

    Prints the task's id. What the job leaves under /outputs are its output files.
    """
    client = session.client
    if dry_run:
        show_estimate(
            session,
            image=image,
            resources=resources,
            timeout=timeout,
            max_total=max_total,
            gang=submit_values.gang(gang, tries),
        )
        return
    files = submit_values.files(inputs)
    credentials = submit_values.registry_auth(registry_auth, image)
    sealed = sealed or credentials is not None
    if pin:
        # It asks registries, so it brings the HTTP stack along.
        from ..pinning import pin_image

        image = pin_image(image, credentials)
    elif (verification or gang) and "@" not in image and not session.as_json:
        click.echo(
            "nodes may have different images of this tag; --pin gives all the same", err=True
        )
    if sealed and (input_from or any(isinstance(file, str) for file in files.values())):
        raise click.UsageError(
            "--sealed (and --registry-auth) goes with files of yours, not with --input-from, URLs or files by their hash"
        )
    if sealed and session.own is not None:
        raise click.UsageError(
            "--sealed (and --registry-auth) keeps inputs from a coordinator; with --direct that is your own"
        )
    job: dict[str, Any] = {
        "name": name,
        "type": "gpu" if resources.wants_gpu else "cpu",
        "resource_requirements": resources.requirements(),
        "docker_image": image,
        "command": command,
        "max_price_per_hour": resources.max_price,
        "timeout_seconds": timeout,
        "priority": priority,
        "priority_reason": reason,
        "deadline": deadline,
        "deadline_policy": deadline_policy,
        "env": dict(submit_values.assignment(item) for item in env),
        "inputs": {
            **files,
            **dict(submit_values.output_of(item) for item in input_from),
        },
        "spread": submit_values.spread(spread),
        "avoid": submit_values.avoid(avoid_nodes, avoid_wallets),
        "depends_on": after,
        "regions": resources.regions,
        "where": resources.conditions(),
        "reveal_wallet": resources.reveal_wallet,
        "queue_timeout_seconds": queue_timeout,
        "max_total_cost": max_total,
        "verification": verification,
        "gang": submit_values.gang(gang, tries),
        "sealed_bids": sealed_bids,
        "interactive": resources.interactive,
        "service": submit_values.service(port, health, health_start),
        **resources.preemption(),
        **checkpoints,
        "network": resources.network(),
    }
    if session.own is not None:
        _submit_direct(session, session.own, job, idempotency_key, output_dir)
        return
    task = client.tasks.create(
        **job,
        wait_for_node=wait_for_node,
        sealed=sealed,
        registry_auth=credentials,
        idempotency_key=idempotency_key,
    )
    if not (wait or follow or output_dir):
        _print_submitted(session, task)
        if sealed:
            send_key(session, task.id)
        return
    if not session.as_json:
        click.echo(f"task {task.id}", err=True)
    task = watch(session, task.id, follow=follow)
    _fetch(session, task, output_dir)
    if session.as_json:
        print_json(task)
    else:
        _print_ended(task)
    if task.status != "completed":
        raise click.exceptions.Exit(FAILED)


def _submit_direct(
    session: Session,
    own: OwnCoordinator,
    job: dict[str, Any],
    idempotency_key: str | None,
    output_dir: Path | None,
) -> None:
    """Submit to one's own coordinator and stay until everything is fetched and paid."""
    if not session.as_json:
        own.wait_for_node(lambda text: click.echo(text, err=True))
    # Files that changed make it another job.
    files = {
        name: (file.stat().st_size, file.stat().st_mtime_ns)
        for name, file in job["inputs"].items()
        if isinstance(file, Path)
    }
    with own.undertaking({**job, "files": files}) as key:
        task = session.client.tasks.create(
            **job, wait_for_node=True, idempotency_key=idempotency_key or key
        )
        if not session.as_json:
            click.echo(f"task {task.id}", err=True)
        task = watch(session, task.id, follow=True)
        _fetch(session, task, output_dir)
        receipt = own.receipt_of(task) if task.leases else None
    own.stop_if_done()
    if session.as_json:
        print_json(task)
    else:
        _print_ended(task, receipt)
    if task.status != "completed":
        raise click.exceptions.Exit(FAILED)


def _fetch(session: Session, task: Task, output_dir: Path | None) -> None:
    if output_dir is not None and task.status == "completed":
        for path in session.client.tasks.download(task.id, output_dir):
            click.echo(f"fetched    {path}", err=True)


def _print_submitted(session: Session, task: Task) -> None:
    if session.as_json:
        print_json(task)
        return
    click.echo(task.id)
    for item in task.inputs:
        if item.url is not None:
            click.echo(f"fetched    {item.url}#sha256={item.sha256}", err=True)
    click.echo(
        f"{task.phase}; it may cost up to {usdc(task.max_cost)}. Follow it with:\n"
        f"  neurogrid logs -f {task.id}\n  neurogrid status {task.id}",
        err=True,
    )


def _print_ended(task: Task, receipt: Path | None = None) -> None:
    click.echo(f"cost       {usdc(task.cost)}", err=True)
    if task.error is not None:
        click.secho(f"{task.error.code}: {task.error.message}", fg="red", err=True)
        if task.error.advice:
            click.echo(task.error.advice, err=True)
    if receipt is not None:
        click.echo(f"receipt    neurogrid verify {receipt}", err=True)
    elif task.leases:
        click.echo(f"receipt    neurogrid receipt {task.id} -o receipt.json", err=True)

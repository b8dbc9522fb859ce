"""``neurogrid submit``."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import click

from ..client import Client
from ..errors import NeuroGridError
from ..models import Task, TaskOutput
from ..tasks import Priority
from .direct import OwnCoordinator, direct_options
from .durations import DURATION, Duration
from .estimates import show_estimate
from .exit_codes import FAILED, INTERRUPTED
from .output import Progress, print_json, short, usdc
from .resources import Resources, resource_options
from .session import Session, with_session
from .verification import verification_options

# How long the rest of a log may take to arrive after its task has ended.
_LOG_PATIENCE_S = 30.0


class PriorityType(click.ParamType[Priority]):
    """high, normal, low, or 1 to 10."""

    name = "priority"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Priority:
        """The word, or the number."""
        if value in ("high", "normal", "low"):
            return value  # type: ignore[no-any-return]  # one of the three words
        if str(value).isdecimal() and 1 <= int(value) <= 10:
            return int(value)
        self.fail(f"{value!r} is none of high, normal, low, 1 to 10", param, ctx)


class Moment(click.ParamType[datetime]):
    """A time: a duration from now, or ISO 8601 (without a zone: this machine's)."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """As an aware datetime."""
        if isinstance(value, datetime):
            return value
        if DURATION.fullmatch(str(value)):
            seconds = Duration().convert(value, param, ctx)
            return datetime.now(UTC) + timedelta(seconds=seconds)
        try:
            return datetime.fromisoformat(str(value)).astimezone(UTC)
        except ValueError:
            self.fail(f"{value!r} is no time: write 2h, or 2030-01-15T10:30Z", param, ctx)


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
    type=PriorityType(),
    default="normal",
    metavar="high|normal|low|1-10",
    help="Order among your own waiting tasks; 10 is the most urgent.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why it has that priority, for people.")
@click.option(
    "--deadline",
    type=Moment(),
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
    help="A file or folder to upload; the job finds it below /inputs. Repeatable.",
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
@click.option("--max-total", metavar="USDC", help="The most it may cost in all.")
@verification_options
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
    max_total: str | None,
    verification: dict[str, Any] | None,
    gang: str | None,
    tries: int | None,
    wait_for_node: bool,
    sealed_bids: bool,
    sealed: bool,
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
            gang=_gang(gang, tries),
        )
        return
    if sealed and input_from:
        raise click.UsageError("--sealed goes with files of yours, not with --input-from")
    if sealed and session.own is not None:
        raise click.UsageError(
            "--sealed keeps inputs from a coordinator; with --direct that is your own"
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
        "env": dict(_assignment(item) for item in env),
        "inputs": {**_files(inputs), **dict(_output_of(item) for item in input_from)},
        "spread": _spread(spread),
        "avoid": _avoid(avoid_nodes, avoid_wallets),
        "depends_on": after,
        "regions": resources.regions,
        "where": resources.conditions(),
        "reveal_wallet": resources.reveal_wallet,
        "queue_timeout_seconds": queue_timeout,
        "max_total_cost": max_total,
        "verification": verification,
        "gang": _gang(gang, tries),
        "sealed_bids": sealed_bids,
        **resources.preemption(),
    }
    if session.own is not None:
        _submit_direct(session, session.own, job, idempotency_key, output_dir)
        return
    task = client.tasks.create(
        **job, wait_for_node=wait_for_node, sealed=sealed, idempotency_key=idempotency_key
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


def send_key(session: Session, task_id: str) -> None:
    """Wait until a sealed task has a node, and has got its key (or has ended)."""
    again = f"another node would need it again: `neurogrid keys serve {task_id}` stays for that"
    try:
        for update in session.client.tasks.stream(task_id):
            if update.type == "task.needs_key":
                words = f"the key was sent to {short(update.node_id)}; {again}"
                click.echo(words, err=True)
                return
    except KeyboardInterrupt:
        words = f"\n{task_id} goes on without its key: `neurogrid keys serve {task_id}`"
        click.echo(words, err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


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


def watch(session: Session, task_id: str, *, follow: bool) -> Task:
    """Show a task's progress (and its log) until it has ended; the task then."""
    client = session.client
    progress = Progress(quiet=session.as_json)
    reader = _LogReader(client, task_id, progress) if follow and not session.as_json else None
    try:
        if reader is not None:
            reader.start()
        for update in client.tasks.stream(task_id):
            progress.show(update)
        if reader is not None:
            reader.join(_LOG_PATIENCE_S)
    except KeyboardInterrupt:
        progress.clear()
        own = session.own is not None
        advice = (
            "type the same again to follow it" if own else f"`neurogrid cancel {task_id}` ends it"
        )
        click.echo(f"\n{task_id} goes on; {advice}.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    progress.clear()
    return client.tasks.get(task_id)


class _LogReader(threading.Thread):
    """Prints the log while the main thread follows the task. A daemon: Ctrl-C ends both."""

    def __init__(self, client: Client, task_id: str, progress: Progress) -> None:
        super().__init__(name="log", daemon=True)
        self._client = client
        self._task_id = task_id
        self._progress = progress

    def run(self) -> None:
        """Print until the log is complete."""
        try:
            for piece in self._client.tasks.get_logs(self._task_id, follow=True):
                self._progress.clear()
                click.echo(piece, nl=False)
        except NeuroGridError as error:
            # The task is still followed; its log can be read again.
            click.echo(f"the log stopped: {error}", err=True)


def _print_submitted(session: Session, task: Task) -> None:
    if session.as_json:
        print_json(task)
        return
    click.echo(task.id)
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


def _gang(text: str | None, tries: int | None) -> dict[str, Any] | None:
    """SIZE[:APART]."""
    if text is None:
        if tries is not None:
            raise click.BadParameter("goes with --gang only", param_hint="--tries")
        return None
    size, _, apart = text.partition(":")
    if not size.isdecimal():
        raise click.BadParameter(f"{text!r} is not SIZE[:APART]", param_hint="--gang")
    return {"size": int(size), "apart": apart or "node", "tries": tries or 1}


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--env")
    return name, value


def _spread(text: str | None) -> dict[str, str] | None:
    """GROUP[:BY]."""
    if text is None:
        return None
    group, _, by = text.partition(":")
    return {"group": group, "by": by or "node"}


def _avoid(nodes: tuple[str, ...], wallets: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
    named = {"nodes": nodes, "wallets": wallets}
    return {name: values for name, values in named.items() if values} or None


def _output_of(text: str) -> tuple[str, TaskOutput]:
    """TASK:OUTPUT[:PATH]; the path is the output's own if left out."""
    task_id, _, rest = text.partition(":")
    output, _, path = rest.partition(":")
    if not output:
        raise click.BadParameter(f"{text!r} is not TASK:OUTPUT[:PATH]", param_hint="--input-from")
    return path or output, TaskOutput(task_id, output)


def _files(sources: tuple[str, ...]) -> dict[str, Path]:
    """Path below /inputs -> local file; folders are walked."""
    found: dict[str, Path] = {}
    for source in sources:
        local, name = _split(source)
        if local.is_dir():
            for file in sorted(path for path in local.rglob("*") if path.is_file()):
                found[f"{name}/{file.relative_to(local).as_posix()}"] = file
        else:
            found[name] = local
    return found


def _split(source: str) -> tuple[Path, str]:
    """FILE[:PATH]; a colon that belongs to the file's own name is left alone."""
    local = Path(source)
    head, colon, name = source.rpartition(":")
    if colon and not local.exists():
        local = Path(head)
    else:
        name = local.resolve().name
    if not local.exists():
        raise click.BadParameter(f"{local} does not exist", param_hint="--input")
    return local, name.strip("/")

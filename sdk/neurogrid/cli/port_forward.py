"""``neurogrid port-forward``: a local port that leads to a running job's."""

import click

from ..errors import NeuroGridError
from .output import print_json
from .session import Session, with_session


@click.command("port-forward")
@click.argument("task_id")
@click.argument("ports", metavar="[LOCAL:]PORT", required=False)
@click.option(
    "--address", default="127.0.0.1", show_default=True, help="Of this machine, to listen at."
)
@with_session
def port_forward(session: Session, *, task_id: str, ports: str | None, address: str) -> None:
    """Carry connections to a local port to the port of a task's running job.

    \b
    neurogrid port-forward task_... 8080        # http://127.0.0.1:8080
    neurogrid port-forward task_... 9000:8080   # here at 9000; 0: at any that is free

    Only to tasks that were submitted with --port. Goes on until it is interrupted; a connection that can't be
    carried is closed, and says why.
    """
    task = session.client.tasks.get(task_id)
    if task.service is None:
        raise click.UsageError(
            "the task was submitted without --port: there is nothing to connect to"
        )
    local, port = _read(ports, task.service.port)
    if port != task.service.port:
        raise click.UsageError(f"the task serves at port {task.service.port}, not {port}")

    def failed(error: NeuroGridError) -> None:
        click.echo(f"a connection was closed: {error}", err=True)

    try:
        forward = session.client.tasks.forward(task_id, local, host=address, on_error=failed)
    except OSError as error:
        raise click.ClickException(
            f"can't listen at {address}:{local}: {error.strerror}; choose another: LOCAL:{port}"
        ) from error
    with forward:
        if session.as_json:
            print_json({"host": forward.host, "port": forward.port, "to": port})
        else:
            click.echo(f"{forward.host}:{forward.port} leads to port {port} of {task_id}")
        forward.wait()


def _read(text: str | None, service_port: int) -> tuple[int, int]:
    """[LOCAL:]PORT as the local port and the job's."""
    if text is None:
        return service_port, service_port
    local, _, port = text.rpartition(":")
    if not (port.isdecimal() and (local or port).isdecimal()) or int(local or port) > 65_535:
        raise click.BadParameter(f"{text!r} is not [LOCAL:]PORT", param_hint="PORT")
    return int(local or port), int(port)

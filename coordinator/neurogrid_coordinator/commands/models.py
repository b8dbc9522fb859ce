"""``models status``: the replicas of models that the running coordinator keeps."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options
from .options import EXIT_NOT_RUNNING, fail

if TYPE_CHECKING:
    from ..replicas.status import ModelStatus


@click.group()
def models() -> None:
    """See the warm servers of models."""


@models.command("status")
@options.directory
@options.as_json
def models_status(directory: Path, as_json: bool) -> None:
    """Show each model's replicas, who waits for them, and why there are too few. Exit code 3 if no coordinator runs."""
    import httpx
    import msgspec

    from neurogrid_wallet.errors import WalletError

    from ..replicas.status import ModelStatus
    from ..setup import INFO_FILE, load_keys
    from ..sharing.between import MODELS_PATH, token_of

    try:
        token = token_of(load_keys(directory).session)
        info = json.loads((directory / INFO_FILE).read_text())
        answer = httpx.post(
            info["api_url"] + MODELS_PATH,
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
            trust_env=False,
        )
        answer.raise_for_status()
        found = msgspec.json.decode(answer.content, type=list[ModelStatus])
    except WalletError as error:
        fail(str(error))
    except (OSError, ValueError, KeyError, httpx.HTTPError, msgspec.MsgspecError):
        click.echo(f"No coordinator answers for {directory}.", err=True)
        sys.exit(EXIT_NOT_RUNNING)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
        return
    if not found:
        click.echo("No replicas are kept: see [models] replicas in coordinator.toml.", err=True)
    for each in found:
        _show(each)


def _show(status: "ModelStatus") -> None:
    from neurogrid_marketplace.money import format_usdc

    click.echo(
        f"{status.model_id}: {status.ready} ready of {status.wanted} wanted ({status.least} to {status.most}), "
        f"{status.at_work} requests at work, {status.waiting} waiting"
        + (f" for up to {status.waits_ms / 1000:.1f} s" if status.waiting else "")
    )
    if status.cold_start_ms:
        phases = ", ".join(f"{name} {ms / 1000:.1f}" for name, ms in status.cold_start_ms.items())
        total_s = sum(status.cold_start_ms.values()) / 1000
        click.echo(f"  a start takes {total_s:.1f} s: {phases}")
    if status.problem:
        click.echo(f"  {status.problem}")
    for each in status.replicas:
        price = format_usdc(each.price_micro_usdc_per_hour)
        click.echo(
            f"  {each.task_id}  {each.state:<8}"
            + (f"  {each.node_id}  {each.at_work} at work  {price} USDC/h" if each.node_id else "")
        )

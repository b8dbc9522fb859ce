"""``neurogrid evidence | verify-evidence``: what is known of a node's hardware, and whether that holds."""

import secrets
from pathlib import Path
from typing import BinaryIO

import click

from neurogrid_marketplace.challenge_evidence import (
    MAX_EVIDENCE_BYTES,
    CheckedEvidence,
)
from neurogrid_marketplace.challenge_evidence import verify_evidence as verify_file
from neurogrid_marketplace.errors import EvidenceInvalid

from ..errors import NotFoundError
from ..models import NodeEvidence
from .exit_codes import FAILED
from .output import print_fields, print_item, print_json, print_table, printable
from .session import Session, json_option, with_session

_LOT_BYTES = 32


@click.command()
@click.argument("node")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--verify", is_flag=True, help="Check the signed file of each challenge.")
@click.option(
    "--save",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the signed files into this folder.",
)
@with_session
def evidence(session: Session, *, node: str, limit: int, verify: bool, folder: Path | None) -> None:
    """Show what was found out about a NODE's hardware: challenges, GPUs that others offer too.

    With --verify each challenge is worked out again from its signed file, as `neurogrid
    verify-evidence` does; exits with 1 if one does not hold.
    """
    found = session.client.nodes.evidence(node, limit=limit)
    held = [_look(session, item, verify=verify, folder=folder) for item in found]
    if session.as_json:
        print_json(
            [
                {"at": item.at, "kind": item.kind, "details": item.details, "file": about}
                for item, about in zip(found, held, strict=True)
            ]
        )
    elif found:
        print_table(
            ("WHEN", "FOUND", "WHAT", "FILE"),
            (
                (f"{item.at:%Y-%m-%d %H:%M}", item.kind, printable(_what(item)), about)
                for item, about in zip(found, held, strict=True)
            ),
        )
    else:
        click.echo("Nothing was found out about its hardware yet.", err=True)
    if any(about.startswith("NOT VALID") for about in held):
        raise click.exceptions.Exit(FAILED)


def _what(item: NodeEvidence) -> str:
    details = item.details
    return str(details.get("reason") or f"{details.get('gpu')} is also at {details.get('also_at')}")


def _look(session: Session, item: NodeEvidence, *, verify: bool, folder: Path | None) -> str:
    """What became of the file that belongs to it, in words."""
    challenge_id = item.details.get("challenge_id")
    if not isinstance(challenge_id, str) or not (verify or folder):
        return "-"
    try:
        data = session.client.nodes.challenge_evidence(challenge_id)
    except NotFoundError:
        return "not kept any more"
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        # An id of ours and nothing else: the coordinator does not choose where we write.
        name = "".join(letter for letter in challenge_id if letter.isalnum() or letter == "_")
        (folder / f"evidence-{name}.json").write_bytes(data)
    if not verify:
        return "saved"
    try:
        checked = verify_file(data)
    except EvidenceInvalid as error:
        return f"NOT VALID: {error}"
    about = checked.statement
    if (about.challenge.challenge_id, checked.digest) != (
        challenge_id,
        item.details.get("evidence_sha256"),
    ):
        return "NOT VALID: it is the evidence of another challenge"
    return "valid"


@click.command("verify-evidence")
@click.argument("file", type=click.File("rb"))
@click.option("--draw", is_flag=True, help="Work out walks of your own draw as well.")
@json_option
def verify_evidence(file: BinaryIO, *, draw: bool, as_json: bool) -> None:
    """Check the evidence of a challenge, FILE ("-": standard input). Needs no network, and no key.

    Works out again what the coordinator has checked, and says item by item what is proven and what is
    claimed. `curl` fetches such a file without a key: /api/v1/challenges/ID/evidence.

    \b
    Exit codes:
      0  the evidence holds; whether the node passed, it says
      1  it does not
    """
    lot = secrets.token_hex(_LOT_BYTES) if draw else None
    try:
        checked = verify_file(file.read(MAX_EVIDENCE_BYTES + 1), lot)
    except EvidenceInvalid as error:
        if as_json:
            print_json({"valid": False, "reason": str(error)})
        else:
            click.secho("NOT VALID: ", fg="red", bold=True, nl=False)
            click.echo(printable(str(error)))
        raise click.exceptions.Exit(FAILED) from None
    if as_json:
        print_json({"valid": True, **_plain(checked), "items": checked.items})
    else:
        _print(checked)


def _plain(checked: CheckedEvidence) -> dict[str, object]:
    statement = checked.statement
    return {
        "network": statement.network,
        "coordinator": statement.coordinator,
        "challenge": statement.challenge,
        "task_id": statement.task_id,
        "lease_id": statement.lease_id,
        "mark": statement.mark.value,
        "reason": statement.reason,
        "elapsed_ms": statement.elapsed_ms,
        "sha256": checked.digest,
    }


def _print(checked: CheckedEvidence) -> None:
    statement = checked.statement
    click.secho("valid", fg="green", bold=True)
    print_fields(
        [
            ("challenge", statement.challenge.challenge_id),
            ("node", statement.challenge.node_id),
            ("network", statement.network),
            ("coordinator", statement.coordinator),
            ("mark", f"{statement.mark.value}: {printable(statement.reason)}"),
        ]
    )
    for device in statement.challenge.devices:
        click.echo(f"{device.uuid}  {printable(device.model)}  {device.fill_bytes} bytes filled")
    click.echo()
    for item in checked.items:
        print_item(item)

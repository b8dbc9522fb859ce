"""Who may change a program or a buffer: handing that over, ending it, closing a buffer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from solders.pubkey import Pubkey

from neurogrid_contracts import upgradeable_loader as loader
from neurogrid_contracts.cli import deploying
from neurogrid_contracts.cli.cluster import confirm_spending, connected
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import NOT_FOUND, USAGE
from neurogrid_contracts.cli.program_reading import address
from neurogrid_contracts.cli.spending import Spending, send
from neurogrid_contracts.terminal.keys import load_key
from neurogrid_contracts.terminal.output import sol


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityChange(Spending):
    """What the command line asked for; see the options' help."""

    program_id: str
    new_file: Path | None
    new_address: str | None
    final: bool
    confirm: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferClosing(Spending):
    """What the command line asked for; see the options' help."""

    buffer_address: str


async def set_authority(asked: AuthorityChange) -> dict[str, Any]:
    """Hand a program to another authority, or to nobody."""
    if [asked.new_file is not None, asked.new_address is not None, asked.final].count(True) != 1:
        raise CommandError("give one of --to, --to-address and --final", USAGE)
    payer, authority = asked.keys()
    authority_id, program_id = Pubkey(authority.public_key), address(asked.program_id)
    keys = [authority]
    new = None
    if asked.new_file is not None:
        keys.append(load_key(asked.new_file, asked.passphrase_file))
        new = Pubkey(keys[-1].public_key)
    elif asked.new_address is not None:
        new = address(asked.new_address)
    async with connected(asked.url, asked.genesis_hash) as (rpc, cluster):
        program = await deploying.existing_program(rpc, program_id)
        deploying.require_authority(
            f"the program {program_id}", program.data.authority, authority_id
        )
        if asked.new_file is None:
            _say_it_twice(asked, program_id if new is None else new)
        confirm_spending(
            cluster, f"Change the authority of {program_id}", yes=asked.yes, as_json=asked.as_json
        )
        change = loader.set_authority(
            loader.programdata_address(program_id),
            authority=authority_id,
            new=new,
            new_signs=asked.new_file is not None,
        )
        sent = await send(
            rpc,
            cluster,
            [change],
            state_folder=asked.state_folder,
            payer=payer,
            keys=keys,
            budget=deploying.budget(asked.unit_price),
            repeatable=True,
        )
    return {
        "program": str(program_id),
        "cluster": cluster.name,
        "authority": "none: final" if new is None else str(new),
        "signature": sent.signature,
    }


def _say_it_twice(asked: AuthorityChange, expected: Pubkey) -> None:
    """What nobody can take back needs an address typed a second time, whatever the cluster."""
    said = asked.confirm
    if said is None and not asked.as_json:
        if asked.final:
            click.echo("Nobody will ever be able to upgrade this program again.", err=True)
            said = click.prompt("Type the program's address to go on", err=True)
        else:
            click.echo("If nobody can sign for this address, the program is lost.", err=True)
            said = click.prompt("Type the new authority's address again to go on", err=True)
    if said != str(expected):
        raise CommandError(f"not confirmed; nothing was sent. Expected --confirm {expected}", USAGE)


async def close_buffer(asked: BufferClosing) -> dict[str, Any]:
    """Delete a buffer and collect its rent."""
    payer, authority = asked.keys()
    authority_id, buffer_id = Pubkey(authority.public_key), address(asked.buffer_address)
    async with connected(asked.url, asked.genesis_hash) as (rpc, cluster):
        buffer = await deploying.find_buffer(rpc, buffer_id)
        if buffer is None:
            raise CommandError(f"there is no buffer at {buffer_id}", NOT_FOUND)
        deploying.require_authority(f"the buffer {buffer_id}", buffer.authority, authority_id)
        rent_lamports = await rpc.sol_balance(buffer_id)
        confirm_spending(cluster, f"Close {buffer_id}", yes=asked.yes, as_json=asked.as_json)
        close = loader.close_buffer(
            buffer_id, authority=authority_id, receiver=Pubkey(payer.public_key)
        )
        sent = await send(
            rpc,
            cluster,
            [close],
            state_folder=asked.state_folder,
            payer=payer,
            keys=[authority],
            budget=deploying.budget(asked.unit_price),
        )
    return {
        "buffer": str(buffer_id),
        "cluster": cluster.name,
        "returned": sol(rent_lamports),
        "to": payer.address,
        "signature": sent.signature,
    }

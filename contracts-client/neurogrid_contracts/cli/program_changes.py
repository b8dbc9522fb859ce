"""Deploying and upgrading: what is to be done, what it costs, and doing it."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey

from neurogrid_contracts import upgradeable_loader as loader
from neurogrid_contracts.cli import deploying
from neurogrid_contracts.cli.cluster import Cluster, confirm_spending, connected
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import AUTHORITY, USAGE
from neurogrid_contracts.cli.keys import load_key
from neurogrid_contracts.cli.program_reading import address, hashes, read_elf
from neurogrid_contracts.cli.spending import Spending
from neurogrid_contracts.cli.steps import Steps, steps_in
from neurogrid_contracts.terminal.output import note, print_fields, sol
from neurogrid_wallet.errors import SecretFileExists
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Payment
from neurogrid_wallet.rpc import Rpc

_BUFFER_KEY, _PROGRAM_KEY, _OUTBOX = "buffer.json", "program.json", "outbox.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking(Spending):
    """What the command line asked for; see the options' help."""

    elf_file: Path | None
    buffer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Undertaking):
    """Of a new program."""

    program_file: Path | None
    max_data_len: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade(Undertaking):
    """Of a program that exists."""

    program_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferWriting(Undertaking):
    """Of a buffer alone."""

    hand_to: str | None


@dataclass(frozen=True, slots=True)
class _Workplace:
    """The files of one unfinished undertaking.

    Attributes:
        folder: readable by its owner alone; removed when all is final.
        buffer: the buffer's address.
        buffer_key: its key, needed only to create it; None for one that exists.
    """

    folder: Path
    buffer: Pubkey
    buffer_key: KeyPair | None

    def clear(self) -> None:
        """Everything is final: nothing in here is of use any more."""
        shutil.rmtree(self.folder)


def _workplace(asked: Undertaking, cluster: Cluster, what: str, elf: bytes) -> _Workplace:
    """The folder of this undertaking, the same one each time it is begun again."""
    elf_hash = hashlib.sha256(elf).hexdigest()
    key_file = None if asked.buffer is None else Path(asked.buffer)
    given = ""
    if key_file is not None:
        given = "-" + hashlib.sha256(str(asked.buffer).encode()).hexdigest()[:8]
    folder = asked.state_folder / f"{cluster.genesis_hash[:8]}-{what}-{elf_hash[:12]}{given}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if key_file is None:
        key = _kept_key(folder / _BUFFER_KEY)
    elif key_file.exists():
        key = load_key(key_file, asked.passphrase_file)
    else:
        return _Workplace(folder, address(str(asked.buffer)), None)
    return _Workplace(folder, Pubkey(key.public_key), key)


def _kept_key(path: Path) -> KeyPair:
    """The key of this undertaking, made the first time; on disk before anything is paid."""
    try:
        key = KeyPair.generate()
        key.write_solana_file(path)
    except SecretFileExists:
        key = KeyPair.read_solana_file(path)
    return key


async def deploy(asked: Deployment) -> dict[str, Any]:
    """Deploy at a new address."""
    elf = read_elf(asked.elf_file)
    payer, authority = asked.keys()
    room = asked.max_data_len or -(-len(elf) * 5 // 4)
    if not len(elf) <= room <= loader.ELF_BYTES_MAX:
        raise CommandError(f"--max-data-len must be between {len(elf)} and 10 MiB", USAGE)
    async with connected(asked.url, asked.genesis_hash) as (rpc, cluster):
        name = "deploy" if asked.program_file is None else f"deploy-{asked.program_file.stem}"
        place = _workplace(asked, cluster, name, elf)
        if asked.program_file is None:
            program = _kept_key(place.folder / _PROGRAM_KEY)
        else:
            program = load_key(asked.program_file, asked.passphrase_file)
        program_id, authority_id = Pubkey(program.public_key), Pubkey(authority.public_key)

        kept_lamports = await deploying.rent_lamports(rpc, loader.PROGRAM_BYTES)
        kept_lamports += await deploying.rent_lamports(rpc, loader.PROGRAMDATA_HEADER_BYTES + room)
        fees_lamports = _fees_lamports(asked, elf)
        if await _is_new(rpc, program_id, elf):
            await _announce(
                asked,
                cluster,
                rpc,
                payer,
                {
                    "program": str(program_id),
                    "authority": str(authority_id),
                    "elf": f"{len(elf)} bytes, room for {room}",
                    "sha256": hashes(elf)["sha256"],
                    "rent, kept by the program": sol(kept_lamports),
                    "fees, at most": sol(fees_lamports),
                },
                spent_lamports=kept_lamports + fees_lamports,
                held_lamports=await _held_by(rpc, place.buffer),
                question="Deploy",
            )
        keys = [authority, program, *([] if place.buffer_key is None else [place.buffer_key])]
        async with steps_in(
            place.folder / _OUTBOX,
            rpc,
            cluster,
            payer=payer,
            keys=keys,
            budget=deploying.budget(asked.unit_price),
        ) as steps:
            landed, step = await steps.caught_up(f"{program_id}/deploy")
            if await _is_new(rpc, program_id, elf):
                await deploying.write_buffer(
                    rpc, steps, address=place.buffer, authority=authority_id, elf=elf
                )
                instructions = [
                    loader.create_account(
                        steps.payer,
                        program_id,
                        await deploying.rent_lamports(rpc, loader.PROGRAM_BYTES),
                        loader.PROGRAM_BYTES,
                    ),
                    loader.deploy(
                        payer=steps.payer,
                        program_id=program_id,
                        buffer=place.buffer,
                        authority=authority_id,
                        elf_bytes_max=room,
                    ),
                ]
                await steps.check(instructions, hint=_rent_hint(place))
                note(f"deploying {program_id}")
                landed = await steps.run(step, instructions)
            await _finish(steps, landed)
        deployed = await _running(rpc, program_id, elf)
        place.clear()
    return {
        "program": str(program_id),
        "cluster": cluster.name,
        "genesis_hash": cluster.genesis_hash,
        "authority": str(authority_id),
        "deployed_in_slot": deployed.data.slot,
        "elf_bytes": len(elf),
        "room_bytes": len(deployed.data.content),
        "rent": sol(deployed.lamports),
        **hashes(elf),
    }


async def _is_new(rpc: Rpc, program_id: Pubkey, elf: bytes) -> bool:
    """Whether nothing is at this address; an earlier run of this command may have finished.

    Raises:
        CommandError: something else is there.
    """
    try:
        found = await deploying.find_program(rpc, program_id)
    except loader.LoaderAccountError as error:
        raise CommandError(str(error)) from error
    if found is not None and found.data.elf != elf:
        raise CommandError(
            f"another program is at {program_id}", hint="Use upgrade, or another --program."
        )
    return found is None


async def upgrade(asked: Upgrade) -> dict[str, Any]:
    """Replace a program's code."""
    elf = read_elf(asked.elf_file)
    payer, authority = asked.keys()
    program_id, authority_id = address(asked.program_id), Pubkey(authority.public_key)
    async with connected(asked.url, asked.genesis_hash) as (rpc, cluster):
        program = await deploying.existing_program(rpc, program_id)
        place = _workplace(asked, cluster, f"upgrade-{str(program_id)[:8]}", elf)
        before = hashes(program.data.content)["sha256"]
        if program.data.elf != elf:
            deploying.require_authority(
                f"the program {program_id}", program.data.authority, authority_id
            )
            await _announce_upgrade(asked, cluster, rpc, payer, program, place, elf)
        keys = [authority, *([] if place.buffer_key is None else [place.buffer_key])]
        async with steps_in(
            place.folder / _OUTBOX,
            rpc,
            cluster,
            payer=payer,
            keys=keys,
            budget=deploying.budget(asked.unit_price),
        ) as steps:
            landed, step = await steps.caught_up(f"{program_id}/upgrade/{place.buffer}")
            program = await deploying.existing_program(rpc, program_id)
            if program.data.elf != elf:
                await deploying.make_room(
                    rpc, steps, program, authority=authority_id, elf_bytes=len(elf)
                )
                await deploying.write_buffer(
                    rpc, steps, address=place.buffer, authority=authority_id, elf=elf
                )
                await deploying.wait_for_slot_after(rpc, program.data.slot)
                instructions = [
                    loader.upgrade(
                        program_id, buffer=place.buffer, authority=authority_id, spill=steps.payer
                    )
                ]
                await steps.check(instructions, hint=_rent_hint(place))
                note(f"upgrading {program_id}")
                landed = await steps.run(step, instructions)
            await _finish(steps, landed)
        upgraded = await _running(rpc, program_id, elf)
        place.clear()
    return {
        "program": str(program_id),
        "cluster": cluster.name,
        "deployed_in_slot": upgraded.data.slot,
        "elf_bytes": len(elf),
        "room_bytes": len(upgraded.data.content),
        "replaced_sha256": before,
        **hashes(elf),
    }


async def _announce_upgrade(
    asked: Undertaking,
    cluster: Cluster,
    rpc: Rpc,
    payer: KeyPair,
    program: deploying.DeployedProgram,
    place: _Workplace,
    elf: bytes,
) -> None:
    buffer_lamports = await deploying.rent_lamports(rpc, loader.BUFFER_HEADER_BYTES + len(elf))
    additional = deploying.extension_bytes(program, len(elf))
    kept_lamports = 0
    if additional:
        kept_lamports = await deploying.rent_lamports(
            rpc, additional
        ) - await deploying.rent_lamports(rpc, 0)
    fees_lamports = _fees_lamports(asked, elf)
    await _announce(
        asked,
        cluster,
        rpc,
        payer,
        {
            "program": str(program.program_id),
            "from sha256": hashes(program.data.content)["sha256"],
            "to sha256": hashes(elf)["sha256"],
            "more room": f"{additional} bytes, {sol(kept_lamports)}" if additional else "",
            "rent, returned at the end": sol(buffer_lamports),
            "fees, at most": sol(fees_lamports),
        },
        spent_lamports=buffer_lamports + kept_lamports + fees_lamports,
        held_lamports=await _held_by(rpc, place.buffer),
        question="Upgrade",
    )


async def write_only(asked: BufferWriting) -> dict[str, Any]:
    """Write a buffer, for others to deploy."""
    elf = read_elf(asked.elf_file)
    payer, authority = asked.keys()
    authority_id = Pubkey(authority.public_key)
    receiver = None if asked.hand_to is None else address(asked.hand_to)
    async with connected(asked.url, asked.genesis_hash) as (rpc, cluster):
        place = _workplace(asked, cluster, "buffer", elf)
        rent = await deploying.rent_lamports(rpc, loader.BUFFER_HEADER_BYTES + len(elf))
        fees_lamports = _fees_lamports(asked, elf)
        await _announce(
            asked,
            cluster,
            rpc,
            payer,
            {
                "buffer": str(place.buffer),
                "authority": str(receiver or authority_id),
                "sha256": hashes(elf)["sha256"],
                "rent, until it is deployed or closed": sol(rent),
                "fees, at most": sol(fees_lamports),
            },
            spent_lamports=rent + fees_lamports,
            held_lamports=await _held_by(rpc, place.buffer),
            question="Write the buffer",
        )
        keys = [authority, *([] if place.buffer_key is None else [place.buffer_key])]
        async with steps_in(
            place.folder / _OUTBOX,
            rpc,
            cluster,
            payer=payer,
            keys=keys,
            budget=deploying.budget(asked.unit_price),
        ) as steps:
            landed, step = await steps.caught_up(f"{place.buffer}/hand-over")
            if landed is None:
                await deploying.write_buffer(
                    rpc, steps, address=place.buffer, authority=authority_id, elf=elf
                )
                if receiver is not None:
                    hand_over = loader.set_authority(
                        place.buffer, authority=authority_id, new=receiver, new_signs=False
                    )
                    await steps.check([hand_over])
                    landed = await steps.run(step, [hand_over])
            await _finish(steps, landed)
        place.clear()
    return {
        "buffer": str(place.buffer),
        "cluster": cluster.name,
        "authority": str(receiver or authority_id),
        "elf_bytes": len(elf),
        "rent": sol(rent),
        **hashes(elf),
    }


def _rent_hint(place: _Workplace) -> str:
    return f"close-buffer {place.buffer} returns the buffer's rent."


async def _finish(steps: Steps, landed: Payment | None) -> None:
    """Wait until the last step is final, where this undertaking is what ran it."""
    if landed is not None:
        await steps.finalized(landed)


async def _running(rpc: Rpc, program_id: Pubkey, elf: bytes) -> deploying.DeployedProgram:
    """The program, which must be what was deployed: believed only when it has been read."""
    program = await deploying.existing_program(rpc, program_id)
    if program.data.elf != elf:
        raise CommandError(
            f"{program_id} runs another program than was just deployed: somebody upgraded it",
            AUTHORITY,
        )
    return program


async def _held_by(rpc: Rpc, buffer: Pubkey) -> int:
    """What an earlier run has put into the buffer: it need not be paid again."""
    return await rpc.sol_balance(buffer)


async def _announce(
    asked: Undertaking,
    cluster: Cluster,
    rpc: Rpc,
    payer: KeyPair,
    plan: dict[str, str],
    *,
    spent_lamports: int,
    held_lamports: int,
    question: str,
) -> None:
    """Show what will happen and what it costs, check that it is covered, and ask."""
    if not asked.as_json:
        shown = {"cluster": f"{cluster.name} ({cluster.genesis_hash})", "payer": payer.address}
        print_fields((shown | plan).items(), err=True)
    await deploying.require_funds(rpc, Pubkey(payer.public_key), spent_lamports - held_lamports)
    confirm_spending(cluster, question, yes=asked.yes, as_json=asked.as_json)


def _fees_lamports(asked: Undertaking, elf: bytes) -> int:
    """What all transactions cost at most: each write, and three more; up to three signatures."""
    transactions = len(deploying.chunks_of(elf)) + 3
    priority_fee = -(-deploying.UNIT_LIMIT * asked.unit_price // 10**6)
    return transactions * (3 * deploying.LAMPORTS_PER_SIGNATURE + priority_fee)

"""Deploying and upgrading: what is to be done, what it costs, and doing it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey

from neurogrid_contracts import upgradeable_loader as loader
from neurogrid_contracts.cli import deploying
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import AUTHORITY, USAGE
from neurogrid_contracts.cli.program_reading import address, hashes, read_elf
from neurogrid_contracts.cli.steps import Steps
from neurogrid_contracts.cli.undertakings import Asked, Undertaking, kept_key, undertaking
from neurogrid_contracts.terminal.keys import load_key
from neurogrid_contracts.terminal.output import sol
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Payment

_PROGRAM_KEY = "program.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Asked):
    """Of a new program."""

    program_file: Path | None
    max_data_len: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade(Asked):
    """Of a program that exists."""

    program_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferWriting(Asked):
    """Of a buffer alone."""

    hand_to: str | None


async def deploy(asked: Deployment) -> dict[str, Any]:
    """Deploy at a new address."""
    elf = read_elf(asked.elf_file)
    room = _room(asked, elf)
    name = "deploy" if asked.program_file is None else f"deploy-{asked.program_file.stem}"
    async with undertaking(asked, name, elf) as work:
        program = _program_key(asked, work)
        program_id = Pubkey(program.public_key)
        if await _is_new(work, program_id):
            await _announce_deployment(work, program_id, room)
        async with work.steps(program) as steps:
            landed, step = await steps.caught_up(f"{program_id}/deploy")
            if await _is_new(work, program_id):
                await work.write_buffer(steps)
                program_lamports = await deploying.rent_lamports(work.rpc, loader.PROGRAM_BYTES)
                instructions = [
                    loader.create_account(
                        steps.payer, program_id, program_lamports, loader.PROGRAM_BYTES
                    ),
                    loader.deploy(
                        payer=steps.payer,
                        program_id=program_id,
                        buffer=work.buffer,
                        authority=work.authority_id,
                        elf_bytes_max=room,
                    ),
                ]
                doing = f"deploying {program_id}"
                landed = await work.put_into_use(steps, step, instructions, doing)
            await _finish(steps, landed)
        deployed = await _running(work, program_id)
        work.clear()
    return {
        "program": str(program_id),
        "cluster": work.cluster.name,
        "genesis_hash": work.cluster.genesis_hash,
        "authority": str(work.authority_id),
        "deployed_in_slot": deployed.data.slot,
        "elf_bytes": len(work.elf),
        "room_bytes": len(deployed.data.content),
        "rent": sol(deployed.lamports),
        **hashes(work.elf),
    }


def _room(asked: Deployment, elf: bytes) -> int:
    """Bytes of code that the program shall have room for."""
    room = asked.max_data_len or -(-len(elf) * 5 // 4)
    if not len(elf) <= room <= loader.ELF_BYTES_MAX:
        raise CommandError(f"--max-data-len must be between {len(elf)} and 10 MiB", USAGE)
    return room


def _program_key(asked: Deployment, work: Undertaking) -> KeyPair:
    if asked.program_file is None:
        return kept_key(work.folder / _PROGRAM_KEY)
    return load_key(asked.program_file, asked.passphrase_file)


async def _is_new(work: Undertaking, program_id: Pubkey) -> bool:
    """Whether nothing is at this address; an earlier run of this command may have finished.

    Raises:
        CommandError: something else is there.
    """
    try:
        found = await deploying.find_program(work.rpc, program_id)
    except loader.LoaderAccountError as error:
        raise CommandError(str(error)) from error
    if found is not None and found.data.elf != work.elf:
        raise CommandError(
            f"another program is at {program_id}", hint="Use upgrade, or another --program."
        )
    return found is None


async def _announce_deployment(work: Undertaking, program_id: Pubkey, room: int) -> None:
    kept_lamports = await deploying.rent_lamports(work.rpc, loader.PROGRAM_BYTES)
    data_bytes = loader.PROGRAMDATA_HEADER_BYTES + room
    kept_lamports += await deploying.rent_lamports(work.rpc, data_bytes)
    await work.announce(
        {
            "program": str(program_id),
            "authority": str(work.authority_id),
            "elf": f"{len(work.elf)} bytes, room for {room}",
            "sha256": hashes(work.elf)["sha256"],
            "rent, kept by the program": sol(kept_lamports),
            "fees, at most": sol(work.fees_lamports),
        },
        spent_lamports=kept_lamports + work.fees_lamports,
        question="Deploy",
    )


async def upgrade(asked: Upgrade) -> dict[str, Any]:
    """Replace a program's code."""
    elf = read_elf(asked.elf_file)
    program_id = address(asked.program_id)
    async with undertaking(asked, f"upgrade-{str(program_id)[:8]}", elf) as work:
        program = await deploying.existing_program(work.rpc, program_id)
        before = hashes(program.data.content)["sha256"]
        if program.data.elf != work.elf:
            deploying.require_authority(
                f"the program {program_id}", program.data.authority, work.authority_id
            )
            await _announce_upgrade(work, program)
        async with work.steps() as steps:
            landed, step = await steps.caught_up(f"{program_id}/upgrade/{work.buffer}")
            program = await deploying.existing_program(work.rpc, program_id)
            if program.data.elf != work.elf:
                landed = await _replace(work, steps, step, program)
            await _finish(steps, landed)
        upgraded = await _running(work, program_id)
        work.clear()
    return {
        "program": str(program_id),
        "cluster": work.cluster.name,
        "deployed_in_slot": upgraded.data.slot,
        "elf_bytes": len(work.elf),
        "room_bytes": len(upgraded.data.content),
        "replaced_sha256": before,
        **hashes(work.elf),
    }


async def _announce_upgrade(work: Undertaking, program: deploying.DeployedProgram) -> None:
    buffer_bytes = loader.BUFFER_HEADER_BYTES + len(work.elf)
    buffer_lamports = await deploying.rent_lamports(work.rpc, buffer_bytes)
    additional = deploying.extension_bytes(program, len(work.elf))
    kept_lamports = 0
    if additional:
        kept_lamports = await deploying.rent_lamports(
            work.rpc, additional
        ) - await deploying.rent_lamports(work.rpc, 0)
    await work.announce(
        {
            "program": str(program.program_id),
            "from sha256": hashes(program.data.content)["sha256"],
            "to sha256": hashes(work.elf)["sha256"],
            "more room": f"{additional} bytes, {sol(kept_lamports)}" if additional else "",
            "rent, returned at the end": sol(buffer_lamports),
            "fees, at most": sol(work.fees_lamports),
        },
        spent_lamports=buffer_lamports + kept_lamports + work.fees_lamports,
        question="Upgrade",
    )


async def _replace(
    work: Undertaking, steps: Steps, step: str, program: deploying.DeployedProgram
) -> Payment:
    """Make room, write the new code, and put it in the old one's place."""
    await deploying.make_room(
        work.rpc, steps, program, authority=work.authority_id, elf_bytes=len(work.elf)
    )
    await work.write_buffer(steps)
    await deploying.wait_for_slot_after(work.rpc, program.data.slot)
    replacing = loader.upgrade(
        program.program_id, buffer=work.buffer, authority=work.authority_id, spill=steps.payer
    )
    doing = f"upgrading {program.program_id}"
    return await work.put_into_use(steps, step, [replacing], doing)


async def write_only(asked: BufferWriting) -> dict[str, Any]:
    """Write a buffer, for others to deploy."""
    elf = read_elf(asked.elf_file)
    receiver = None if asked.hand_to is None else address(asked.hand_to)
    async with undertaking(asked, "buffer", elf) as work:
        rent = await deploying.rent_lamports(work.rpc, loader.BUFFER_HEADER_BYTES + len(work.elf))
        await work.announce(
            {
                "buffer": str(work.buffer),
                "authority": str(receiver or work.authority_id),
                "sha256": hashes(work.elf)["sha256"],
                "rent, until it is deployed or closed": sol(rent),
                "fees, at most": sol(work.fees_lamports),
            },
            spent_lamports=rent + work.fees_lamports,
            question="Write the buffer",
        )
        async with work.steps() as steps:
            landed, step = await steps.caught_up(f"{work.buffer}/hand-over")
            if landed is None:
                await work.write_buffer(steps)
                if receiver is not None:
                    hand_over = loader.set_authority(
                        work.buffer, authority=work.authority_id, new=receiver, new_signs=False
                    )
                    await steps.check([hand_over])
                    landed = await steps.run(step, [hand_over])
            await _finish(steps, landed)
        work.clear()
    return {
        "buffer": str(work.buffer),
        "cluster": work.cluster.name,
        "authority": str(receiver or work.authority_id),
        "elf_bytes": len(work.elf),
        "rent": sol(rent),
        **hashes(work.elf),
    }


async def _finish(steps: Steps, landed: Payment | None) -> None:
    """Wait until the last step is final, where this undertaking is what ran it."""
    if landed is not None:
        await steps.finalized(landed)


async def _running(work: Undertaking, program_id: Pubkey) -> deploying.DeployedProgram:
    """The program, which must be what was deployed: believed only when it has been read."""
    program = await deploying.existing_program(work.rpc, program_id)
    if program.data.elf != work.elf:
        raise CommandError(
            f"{program_id} runs another program than was just deployed: somebody upgraded it",
            AUTHORITY,
        )
    return program

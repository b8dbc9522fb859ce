"""Putting a program on a chain: into a buffer piece by piece, then into use.

What is on the chain decides what is left to do, and the outbox what is under way; so the same
command, started again after any interruption, goes on and pays for nothing twice.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import anyio
from solders.pubkey import Pubkey

from neurogrid_contracts import upgradeable_loader as loader
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import AUTHORITY, FUNDS, NOT_FOUND, UNREACHABLE
from neurogrid_contracts.cli.steps import Steps
from neurogrid_contracts.terminal.output import note, sol
from neurogrid_wallet.chain import Commitment
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import ComputeBudget

# What fits beside two signatures, five addresses and a priority fee in 1,232 bytes.
CHUNK_BYTES: Final = 850
# The loader's instructions cost some 2,400 units and System's 150; at most two are in one.
UNIT_LIMIT: Final = 10_000
# A signature's price (agave, DEFAULT_TARGET_LAMPORTS_PER_SIGNATURE).
LAMPORTS_PER_SIGNATURE: Final = 5_000
# A write that landed and is not there: the buffer has another writer, or the endpoint lies.
_WRITE_ROUNDS_MAX: Final = 3
_SLOT_POLLS_MAX: Final = 300
_SLOT_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class DeployedProgram:
    """A program as the chain has it.

    Attributes:
        program_id: its address.
        data: its code and who may change it.
        lamports: the rent that it holds, in both of its accounts.
    """

    program_id: Pubkey
    data: loader.ProgramData
    lamports: int


def budget(unit_price_micro_lamports: int) -> ComputeBudget:
    """The compute budget of every transaction to the loader."""
    return ComputeBudget(UNIT_LIMIT, unit_price_micro_lamports)


async def find_program(rpc: Rpc, program_id: Pubkey) -> DeployedProgram | None:
    """The program at this address; None where there is no account.

    Raises:
        LoaderAccountError: the account is something else, or was closed.
    """
    code, called = await rpc.get_accounts([loader.programdata_address(program_id), program_id])
    if called is None:
        return None
    if called.owner != loader.LOADER_ID or code is None:
        raise loader.LoaderAccountError(f"{program_id} is not a program of the upgradeable loader")
    loader.check_program(program_id, called.data)
    data = loader.ProgramData.parse(code.data)
    return DeployedProgram(program_id, data, code.lamports + called.lamports)


async def existing_program(rpc: Rpc, program_id: Pubkey) -> DeployedProgram:
    """The program at this address.

    Raises:
        CommandError: there is none.
    """
    try:
        found = await find_program(rpc, program_id)
    except loader.LoaderAccountError as error:
        raise CommandError(str(error), NOT_FOUND) from error
    if found is None:
        raise CommandError(f"there is no program at {program_id}", NOT_FOUND)
    return found


async def find_buffer(rpc: Rpc, address: Pubkey) -> loader.Buffer | None:
    """The buffer at this address; None where there is no account.

    Raises:
        CommandError: the account is something else.
    """
    account = await rpc.get_account(address)
    if account is None:
        return None
    try:
        if account.owner != loader.LOADER_ID:
            raise loader.LoaderAccountError("the account is not a buffer of the loader")
        return loader.Buffer.parse(account.data)
    except loader.LoaderAccountError as error:
        raise CommandError(f"{address}: {error}", NOT_FOUND) from error


def require_authority(what: str, authority: Pubkey | None, given: Pubkey) -> None:
    """Refuse before anything is paid what the loader would refuse at the end.

    Raises:
        CommandError: ``given`` is not the authority.
    """
    if authority is None:
        raise CommandError(f"{what} is final: nobody can change it any more", AUTHORITY)
    if authority != given:
        raise CommandError(
            f"{what} belongs to {authority}, and the authority given is {given}",
            AUTHORITY,
            hint="Give the authority's key file with --authority.",
        )


async def rent_lamports(rpc: Rpc, data_bytes: int) -> int:
    """What makes an account of this size live for ever."""
    answer = await rpc.call("getMinimumBalanceForRentExemption", [data_bytes], retry=True)
    if type(answer) is not int or answer <= 0:
        raise CommandError("the endpoint does not say what rent costs")
    return answer


async def require_funds(rpc: Rpc, payer: Pubkey, lamports: int) -> None:
    """Refuse to begin what the payer cannot finish.

    Raises:
        CommandError: its SOL does not cover it.
    """
    held = await rpc.sol_balance(payer)
    if held < lamports:
        raise CommandError(
            f"the payer {payer} has {sol(held)}, and up to {sol(lamports)} are needed", FUNDS
        )


def chunks_of(elf: bytes) -> list[tuple[int, bytes]]:
    """The pieces of an ELF and where each belongs."""
    return [(at, elf[at : at + CHUNK_BYTES]) for at in range(0, len(elf), CHUNK_BYTES)]


async def write_buffer(
    rpc: Rpc, steps: Steps, *, address: Pubkey, authority: Pubkey, elf: bytes
) -> None:
    """Have the whole ELF in the buffer, creating it if need be and writing what is missing.

    Raises:
        CommandError: the buffer is another's, too small, or does not keep what is written.
        PaymentFailed, PaymentTimeout: as :meth:`Steps.run`.
    """
    _, create = await steps.caught_up(f"{address}/create")
    if await find_buffer(rpc, address) is None:
        space = loader.BUFFER_HEADER_BYTES + len(elf)
        lamports = await rent_lamports(rpc, space)
        note(f"creating buffer {address}")
        await steps.run(
            create,
            [
                loader.create_account(steps.payer, address, lamports, space),
                loader.initialize_buffer(address, authority),
            ],
        )
    chunks = chunks_of(elf)
    for round_number in range(_WRITE_ROUNDS_MAX):
        content = await _writable_content(rpc, address, authority, len(elf))
        missing = [(at, chunk) for at, chunk in chunks if content[at : at + len(chunk)] != chunk]
        if not missing:
            return
        note(f"writing {len(missing)} of {len(chunks)} pieces")
        await steps.run_all(
            (
                _write_name(address, round_number, at, chunk),
                [loader.write(address, authority, at, chunk)],
            )
            for at, chunk in missing
        )
    raise CommandError(f"the buffer {address} does not keep what is written to it")


async def _writable_content(rpc: Rpc, address: Pubkey, authority: Pubkey, elf_length: int) -> bytes:
    """What the buffer holds; it must be ours, and of a size that leaves no remains of another."""
    buffer = await find_buffer(rpc, address)
    if buffer is None:
        raise CommandError(f"the buffer {address} is gone: somebody closed it", NOT_FOUND)
    require_authority(f"the buffer {address}", buffer.authority, authority)
    if len(buffer.content) < elf_length:
        room = len(buffer.content)
        raise CommandError(f"the buffer {address} has room for {room} bytes, not {elf_length}")
    if any(buffer.content[elf_length:]):
        raise CommandError(f"the buffer {address} holds another, longer program")
    return buffer.content


def _write_name(address: Pubkey, round_number: int, at: int, chunk: bytes) -> str:
    return f"{address}/write/{round_number}/{at}/{hashlib.sha256(chunk).hexdigest()[:16]}"


async def make_room(
    rpc: Rpc, steps: Steps, program: DeployedProgram, *, authority: Pubkey, elf_bytes: int
) -> None:
    """Extend the programdata until an ELF of this size fits, and wait until that counts."""
    additional = extension_bytes(program, elf_bytes)
    if additional == 0:
        return
    checked, unchecked = (
        [
            loader.extend(
                program.program_id,
                payer=steps.payer,
                additional_bytes=additional,
                authority=signing,
            )
        ]
        for signing in (authority, None)
    )
    # Clusters know one of the two, according to whether SIMD-0164 is active there.
    refusal = await steps.refusal(checked)
    extend = checked if refusal is None else unchecked
    await steps.check(extend)
    note(f"extending the program by {additional} bytes")
    name = f"{program.program_id}/extend/{len(program.data.content) + additional}"
    payment = await steps.run(name, extend)
    await wait_for_slot_after(rpc, payment.landed_slot or 0)


def extension_bytes(program: DeployedProgram, elf_bytes: int) -> int:
    """How much longer the programdata has to become for an ELF of this size."""
    room = len(program.data.content)
    if elf_bytes <= room:
        return 0
    longest = loader.ELF_BYTES_MAX - room
    return min(max(elf_bytes - room, loader.EXTENSION_BYTES_MIN), longest)


async def wait_for_slot_after(rpc: Rpc, slot: int) -> None:
    """The loader takes one change of a program per slot."""
    for _ in range(_SLOT_POLLS_MAX):
        if (await rpc.position(Commitment.CONFIRMED)).slot > slot:
            return
        await anyio.sleep(_SLOT_POLL_S)
    raise CommandError(f"the cluster stands still at slot {slot}", UNREACHABLE)

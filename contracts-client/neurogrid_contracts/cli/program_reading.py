"""What a program on a chain is: show and verify."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from solders.pubkey import Pubkey

from neurogrid_contracts import upgradeable_loader as loader
from neurogrid_contracts.cli.cluster import connected
from neurogrid_contracts.cli.deploying import existing_program, find_buffer
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import NOT_FOUND, USAGE
from neurogrid_contracts.program import DamagedProgramError, elf_bytes
from neurogrid_contracts.terminal.output import sol

_BUILD_TIMEOUT_S: Final = 300
# In a checkout; an installed package has no sources.
_SOURCE_FOLDER: Final = Path(__file__).parents[2] / "program"


def address(text: str) -> Pubkey:
    """An address of the command line.

    Raises:
        CommandError: it is none.
    """
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is not an address: {error}", USAGE) from error


def read_elf(path: Path | None) -> bytes:
    """The ELF at ``path``, or the packaged one.

    Raises:
        CommandError: it is no ELF, or damaged.
    """
    try:
        elf = elf_bytes() if path is None else path.read_bytes()
    except DamagedProgramError as error:
        raise CommandError(str(error)) from error
    if loader.without_padding(elf) != elf or not loader.is_program(elf):
        raise CommandError(f"{path or 'the packaged program'} is no ELF file for Solana")
    if len(elf) > loader.ELF_BYTES_MAX:
        raise CommandError(f"{path} has {len(elf)} bytes; a program has at most 10 MiB")
    return elf


def hashes(content: bytes) -> dict[str, str]:
    """The ELF's SHA-256, and the hash that solana-verify shows for the same code."""
    elf = loader.without_padding(content)
    return {
        "sha256": hashlib.sha256(elf).hexdigest(),
        "solana_verify_hash": loader.stripped_sha256(content),
    }


async def show(text: str, url: str, genesis_hash: str | None) -> dict[str, Any]:
    """A program or a buffer."""
    async with connected(url, genesis_hash) as (rpc, cluster):
        account = await rpc.get_account(address(text))
        if account is None:
            raise CommandError(f"there is no account at {text}", NOT_FOUND)
        if account.owner == loader.LOADER_ID and len(account.data) != loader.PROGRAM_BYTES:
            buffer = await find_buffer(rpc, address(text))
            assert buffer is not None, "it was there a moment ago"
            return {
                "buffer": text,
                "cluster": cluster.name,
                "authority": buffer.authority and str(buffer.authority),
                "room_bytes": len(buffer.content),
                "rent": sol(account.lamports),
                **hashes(buffer.content),
            }
        program = await existing_program(rpc, address(text))
    return {
        "program": text,
        "cluster": cluster.name,
        "genesis_hash": cluster.genesis_hash,
        "authority": "none: final"
        if program.data.authority is None
        else str(program.data.authority),
        "deployed_in_slot": program.data.slot,
        "elf_bytes": len(program.data.elf),
        "room_bytes": len(program.data.content),
        "rent": sol(program.lamports),
        **hashes(program.data.content),
    }


async def verify(
    text: str,
    elf_file: Path | None,
    rebuild: bool,
    source_folder: Path | None,
    url: str,
    genesis_hash: str | None,
) -> dict[str, Any]:
    """Whether a program runs this ELF and, with ``rebuild``, what its source builds to."""
    expected = read_elf(elf_file)
    async with connected(url, genesis_hash) as (rpc, cluster):
        program = await existing_program(rpc, address(text))
    on_chain = hashes(program.data.content)
    wanted = hashes(expected)
    result: dict[str, Any] = {
        "program": text,
        "cluster": cluster.name,
        "on_chain_sha256": on_chain["sha256"],
        "packaged_sha256" if elf_file is None else "file_sha256": wanted["sha256"],
        "solana_verify_hash": on_chain["solana_verify_hash"],
        "verified": program.data.elf == expected,
    }
    if rebuild:
        built = _rebuild(source_folder or _SOURCE_FOLDER)
        result["rebuilt_sha256"] = hashes(built)["sha256"]
        result["verified"] = result["verified"] and program.data.elf == built
    return result


def _rebuild(source_folder: Path) -> bytes:
    """The ELF that the program's own build makes of its source."""
    script = source_folder / "build.py"
    if not script.is_file():
        raise CommandError(
            f"{script} is not there",
            USAGE,
            hint="Check the repository out, and give contracts-client/program with --source.",
        )
    with tempfile.TemporaryDirectory() as folder:
        built = subprocess.run(
            [sys.executable, str(script), "--out", folder],
            capture_output=True,
            text=True,
            timeout=_BUILD_TIMEOUT_S,
            check=False,  # its message goes into the error
        )
        if built.returncode != 0:
            raise CommandError(f"the build failed: {built.stderr.strip()}")
        return (Path(folder) / "neurogrid.so").read_bytes()

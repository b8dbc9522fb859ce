"""Where an ELF ends within an account, and accounts that are not the loader's."""

import hashlib
import struct

import pytest
from solders.pubkey import Pubkey

from contracts.program_parties import noop_elf
from neurogrid_contracts import upgradeable_loader as loader
from neurogrid_contracts.program import elf_bytes


@pytest.mark.parametrize("padding", [0, 1, 7, 10_000])
@pytest.mark.parametrize("elf", [elf_bytes(), noop_elf()], ids=["ours", "ends in exit"])
def test_the_room_after_an_elf_is_not_part_of_it(elf: bytes, padding: int) -> None:
    """``exit`` ends in seven zeros, and they are part of the program."""
    assert loader.without_padding(elf + bytes(padding)) == elf


def test_anything_but_zeros_after_an_elf_is_kept() -> None:
    """So that a program with a hidden tail never passes for one without."""
    longer = elf_bytes() + b"\x01"
    assert loader.without_padding(longer + bytes(100)) == longer


@pytest.mark.parametrize("length", [0, 1, 63, 64, 119, 120, 500])
def test_a_truncated_elf_is_only_stripped(length: int) -> None:
    content = elf_bytes()[:length]
    assert loader.without_padding(content) == content.rstrip(b"\0")


def test_sections_count_too() -> None:
    """A linker other than ours puts its section table last."""
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        *(3, 247, 1, 0, 0, 64, 0, 64, 56, 0, 64, 1, 0),
    )
    section = struct.pack("<IIQQQQIIQQ", 0, 1, 0, 0, 128, 8, 0, 0, 0, 0)
    elf = header + section + b"code" + bytes(4)
    assert loader.without_padding(elf + bytes(50)) == elf


def test_the_hash_of_solana_verify_leaves_all_trailing_zeros_out() -> None:
    expected = hashlib.sha256(elf_bytes().rstrip(b"\0")).hexdigest()
    assert loader.stripped_sha256(elf_bytes() + bytes(99)) == expected


def test_other_accounts_are_refused() -> None:
    programdata = struct.pack("<IQB32s", 3, 7, 1, bytes(Pubkey([5] * 32))) + b"code"
    parsed = loader.ProgramData.parse(programdata)
    assert (parsed.slot, parsed.authority, parsed.elf) == (7, Pubkey([5] * 32), b"code")
    buffer = struct.pack("<IB32s", 1, 0, bytes(32)) + b"code"
    assert loader.Buffer.parse(buffer).authority is None
    for wrong in (b"", buffer, programdata[:44]):
        with pytest.raises(loader.LoaderAccountError):
            loader.ProgramData.parse(wrong)
    for wrong in (b"", programdata, buffer[:36]):
        with pytest.raises(loader.LoaderAccountError):
            loader.Buffer.parse(wrong)
    with pytest.raises(loader.LoaderAccountError):
        loader.check_program(Pubkey([5] * 32), struct.pack("<I", 2) + bytes(32))

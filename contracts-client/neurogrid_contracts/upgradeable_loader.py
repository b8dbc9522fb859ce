"""Solana's upgradeable loader ("loader-v3"): its instructions, its accounts, an ELF's true length.

Source: solana-loader-v3-interface, ``instruction.rs`` and ``state.rs``. Instructions are bincode: a
u32 tag, then arguments. An account starts with a u32 kind; a program is two accounts, one that is
called and one ("programdata") that holds the code.
"""

import enum
import hashlib
import struct
from dataclasses import dataclass
from typing import Final, Self

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.sysvar import CLOCK, RENT

from neurogrid_contracts.instructions.wire import (
    SYSTEM_PROGRAM_ID,
    read_only,
    signer,
    writable,
)

LOADER_ID: Final = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")

PROGRAM_BYTES: Final = 36
BUFFER_HEADER_BYTES: Final = 37
PROGRAMDATA_HEADER_BYTES: Final = 45
# No account may be larger (solana-system-interface, MAX_PERMITTED_DATA_LENGTH).
ELF_BYTES_MAX: Final = 10 * 1024 * 1024 - PROGRAMDATA_HEADER_BYTES
# SIMD-0431 asks every extension to be at least this long, unless it reaches the maximum.
EXTENSION_BYTES_MIN: Final = 10 * 1024

_BUFFER, _PROGRAM, _PROGRAMDATA = 1, 2, 3
# e_machine: EM_BPF of stock LLVM, EM_SBPF of Solana's.
_MACHINES: Final = (struct.pack("<H", 247), struct.pack("<H", 263))


class _Tag(enum.IntEnum):
    INITIALIZE_BUFFER = 0
    WRITE = 1
    DEPLOY_WITH_MAX_DATA_LEN = 2
    UPGRADE = 3
    SET_AUTHORITY = 4
    CLOSE = 5
    EXTEND_PROGRAM = 6
    SET_AUTHORITY_CHECKED = 7
    EXTEND_PROGRAM_CHECKED = 9


class LoaderAccountError(ValueError):
    """The account is not what the loader keeps at such an address."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """Code that is being written, and belongs to no program yet.

    Attributes:
        authority: who may write, deploy and close it; None: nobody any more.
        content: what is written so far, zeros elsewhere.
    """

    authority: Pubkey | None
    content: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the account's data.

        Raises:
            LoaderAccountError: it is no buffer.
        """
        if len(data) < BUFFER_HEADER_BYTES or _kind(data) != _BUFFER:
            raise LoaderAccountError("the account is not a buffer of the loader")
        return cls(_optional_key(data, 4), data[BUFFER_HEADER_BYTES:])


@dataclass(frozen=True, slots=True)
class ProgramData:
    """The code of a deployed program.

    Attributes:
        slot: when it was last deployed or upgraded.
        authority: who may upgrade it; None: it is final.
        content: the ELF, and zeros up to the room that was paid for.
    """

    slot: int
    authority: Pubkey | None
    content: bytes

    @property
    def elf(self) -> bytes:
        """The code without what was left free after it."""
        return without_padding(self.content)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the account's data.

        Raises:
            LoaderAccountError: it holds no program's code, for example because it was closed.
        """
        if len(data) < PROGRAMDATA_HEADER_BYTES or _kind(data) != _PROGRAMDATA:
            raise LoaderAccountError("the program was closed, or its code is not there")
        (slot,) = struct.unpack_from("<Q", data, 4)
        return cls(slot, _optional_key(data, 12), data[PROGRAMDATA_HEADER_BYTES:])


def programdata_address(program_id: Pubkey) -> Pubkey:
    """Where the loader keeps a program's code."""
    return Pubkey.find_program_address([bytes(program_id)], LOADER_ID)[0]


def check_program(program_id: Pubkey, data: bytes) -> None:
    """Check the data of the account that is called.

    Raises:
        LoaderAccountError: it is no program of this loader.
    """
    expected = struct.pack("<I", _PROGRAM) + bytes(programdata_address(program_id))
    if data[:PROGRAM_BYTES] != expected:
        raise LoaderAccountError("the account is not a program of the upgradeable loader")


def is_program(elf: bytes) -> bool:
    """Whether this is an ELF for Solana's machine; whether it runs, the loader says."""
    return _elf_length(elf) is not None and elf[18:20] in _MACHINES


def without_padding(content: bytes) -> bytes:
    """The ELF at the start of ``content``, whatever zeros follow it.

    Its own headers say where it ends: code may well end in zeros (``exit`` does), so that cutting
    all of them off would give another file than the one that was deployed. Where it is no ELF, or
    something other than zeros follows, everything but the trailing zeros.
    """
    length = _elf_length(content)
    if length is not None and length <= len(content) and not any(content[length:]):
        return content[:length]
    return content.rstrip(b"\0")


def stripped_sha256(content: bytes) -> str:
    """The hash that `solana-verify` shows: of everything but the trailing zeros."""
    return hashlib.sha256(content.rstrip(b"\0")).hexdigest()


def _elf_length(content: bytes) -> int | None:
    """Where the last segment or section of a 64-bit little-endian ELF ends."""
    if len(content) < 64 or content[:6] != b"\x7fELF\x02\x01":
        return None
    segments_at, sections_at = struct.unpack_from("<QQ", content, 32)
    segment_bytes, segments, section_bytes, sections = struct.unpack_from("<HHHH", content, 54)
    ends: list[int] = [
        64,
        segments_at + segments * segment_bytes,
        sections_at + sections * section_bytes,
    ]
    if max(ends) > len(content):
        return None
    if segment_bytes >= 56:
        for index in range(segments):
            offset, size = _offset_and_size(content, segments_at + index * segment_bytes, 8, 32)
            ends.append(offset + size)
    if section_bytes >= 64:
        for index in range(sections):
            at = sections_at + index * section_bytes
            (kind,) = struct.unpack_from("<I", content, at + 4)
            if kind != 8:  # SHT_NOBITS takes no room in the file
                offset, size = _offset_and_size(content, at, 24, 32)
                ends.append(offset + size)
    return max(ends)


def _offset_and_size(content: bytes, at: int, offset_at: int, size_at: int) -> tuple[int, int]:
    (offset,) = struct.unpack_from("<Q", content, at + offset_at)
    (size,) = struct.unpack_from("<Q", content, at + size_at)
    return offset, size


def _kind(data: bytes) -> int:
    return int.from_bytes(data[:4], "little")


def _optional_key(data: bytes, at: int) -> Pubkey | None:
    return Pubkey(data[at + 1 : at + 33]) if data[at] else None


# --- instructions ---


def create_account(payer: Pubkey, address: Pubkey, lamports: int, space: int) -> Instruction:
    """System's instruction for an account that the loader owns. Signers: both."""
    data = struct.pack("<IQQ32s", 0, lamports, space, bytes(LOADER_ID))
    return Instruction(
        SYSTEM_PROGRAM_ID,
        data,
        [signer(payer, writable=True), signer(address, writable=True)],
    )


def initialize_buffer(buffer: Pubkey, authority: Pubkey) -> Instruction:
    """Make a buffer of a new account; in the transaction that creates it, before others can."""
    return _instruction(_Tag.INITIALIZE_BUFFER, b"", writable(buffer), read_only(authority))


def write(buffer: Pubkey, authority: Pubkey, offset: int, chunk: bytes) -> Instruction:
    """Write a part of the code. Signer: the buffer's authority."""
    args = struct.pack("<IQ", offset, len(chunk)) + chunk
    return _instruction(_Tag.WRITE, args, writable(buffer), signer(authority))


def deploy(
    *, payer: Pubkey, program_id: Pubkey, buffer: Pubkey, authority: Pubkey, elf_bytes_max: int
) -> Instruction:
    """Make a program of a new account and a buffer. Signers: payer and authority.

    The buffer's rent goes to the payer, who pays for the programdata.
    """
    return _instruction(
        _Tag.DEPLOY_WITH_MAX_DATA_LEN,
        struct.pack("<Q", elf_bytes_max),
        signer(payer, writable=True),
        writable(programdata_address(program_id)),
        writable(program_id),
        writable(buffer),
        read_only(RENT),
        read_only(CLOCK),
        read_only(SYSTEM_PROGRAM_ID),
        signer(authority),
    )


def upgrade(program_id: Pubkey, *, buffer: Pubkey, authority: Pubkey, spill: Pubkey) -> Instruction:
    """Replace a program's code by a buffer's, whose rent goes to ``spill``. Signer: authority."""
    return _instruction(
        _Tag.UPGRADE,
        b"",
        writable(programdata_address(program_id)),
        writable(program_id),
        writable(buffer),
        writable(spill),
        read_only(RENT),
        read_only(CLOCK),
        signer(authority),
    )


def extend(
    program_id: Pubkey, *, payer: Pubkey, additional_bytes: int, authority: Pubkey | None
) -> Instruction:
    """Buy a program more room, which takes effect in the next slot. Signer: payer.

    Args:
        authority: signs too (SIMD-0164, which clusters switch to); None: the older form.
    """
    tag = _Tag.EXTEND_PROGRAM if authority is None else _Tag.EXTEND_PROGRAM_CHECKED
    return _instruction(
        tag,
        struct.pack("<I", additional_bytes),
        writable(programdata_address(program_id)),
        writable(program_id),
        *([] if authority is None else [signer(authority)]),
        read_only(SYSTEM_PROGRAM_ID),
        signer(payer, writable=True),
    )


def set_authority(
    account: Pubkey, *, authority: Pubkey, new: Pubkey | None, new_signs: bool
) -> Instruction:
    """Hand a buffer or a programdata account to ``new``; None makes a program final for ever.

    Args:
        account: the buffer, or the programdata (not the program).
        new_signs: the new authority signs too, which proves that its key exists. Not possible for
            a multisig's vault.
    """
    tag = _Tag.SET_AUTHORITY_CHECKED if new_signs else _Tag.SET_AUTHORITY
    receiver = [] if new is None else [signer(new) if new_signs else read_only(new)]
    return _instruction(tag, b"", writable(account), signer(authority), *receiver)


def close_buffer(buffer: Pubkey, *, authority: Pubkey, receiver: Pubkey) -> Instruction:
    """Delete a buffer and return its rent. Signer: its authority."""
    return _instruction(_Tag.CLOSE, b"", writable(buffer), writable(receiver), signer(authority))


def _instruction(tag: _Tag, args: bytes, *accounts: AccountMeta) -> Instruction:
    return Instruction(LOADER_ID, struct.pack("<I", tag) + args, list(accounts))

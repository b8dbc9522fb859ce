"""What a Solana transaction's message says: enough to look at it before it is signed, without a Solana library.

Sources: Solana's transaction format (a legacy message, or version 0 behind a byte 0x80; lengths as compact-u16), and its
program derived addresses.
"""

import hashlib
from dataclasses import dataclass

from . import base58
from .errors import InvalidValue

# A transaction has at most 1,232 bytes.
MESSAGE_BYTES_MAX = 1232
_KEY_BYTES = 32
# The field and the constant of edwards25519 (RFC 8032, 5.1).
_P = 2**255 - 19
_D = -121665 * pow(121666, _P - 2, _P) % _P


@dataclass(frozen=True, slots=True)
class MessageInstruction:
    """One instruction; addresses are Base58."""

    program: str
    accounts: tuple[str, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class SolanaMessage:
    """A message; ``signers``: who has to sign, the first of whom pays the fee."""

    signers: tuple[str, ...]
    instructions: tuple[MessageInstruction, ...]


def read_message(message: bytes) -> SolanaMessage:
    """Read a message all of whose accounts are in it.

    Raises:
        InvalidValue: it is none, or one that looks addresses up elsewhere.
    """
    if len(message) > MESSAGE_BYTES_MAX:
        raise InvalidValue(f"a message of {len(message)} bytes fits no transaction")
    reader = _Reader(message)
    is_versioned = message[:1] == b"\x80"
    if is_versioned:
        reader.take(1)
    signing, _, _ = reader.take(3)
    addresses = [base58.encode(reader.take(_KEY_BYTES)) for _ in range(reader.length())]
    reader.take(_KEY_BYTES)  # the blockhash
    instructions = tuple(_instruction(reader, addresses) for _ in range(reader.length()))
    if is_versioned and reader.length():
        raise InvalidValue("the message names accounts that are not in it")
    if reader.rest():
        raise InvalidValue("there is something behind the message")
    if not 0 < signing <= len(addresses):
        raise InvalidValue("the message has no signer")
    return SolanaMessage(tuple(addresses[:signing]), instructions)


def derived_address(program: str, *seeds: bytes) -> str:
    """The first address off the curve that a program derives from these seeds.

    Raises:
        InvalidValue: the program is no address.
    """
    program_bytes = base58.decode(program, _KEY_BYTES)
    for bump in range(255, -1, -1):
        hashed = hashlib.sha256(
            b"".join(seeds) + bytes([bump]) + program_bytes + b"ProgramDerivedAddress"
        ).digest()
        if not _is_on_curve(hashed):
            return base58.encode(hashed)
    raise InvalidValue("no address can be derived from these seeds")


def _instruction(reader: "_Reader", addresses: list[str]) -> MessageInstruction:
    def address(index: int) -> str:
        if index >= len(addresses):
            raise InvalidValue("an instruction names an account that is not in the message")
        return addresses[index]

    program = address(reader.take(1)[0])
    accounts = tuple(address(index) for index in reader.take(reader.length()))
    return MessageInstruction(program, accounts, reader.take(reader.length()))


def _is_on_curve(point: bytes) -> bool:
    """Whether these 32 bytes are a compressed point of edwards25519.

    x^2 = (y^2 - 1) / (d y^2 + 1) has to be a square, by Euler's criterion.
    """
    y = (int.from_bytes(point, "little") & ((1 << 255) - 1)) % _P
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    return square == 0 or pow(square, (_P - 1) // 2, _P) == 1


class _Reader:
    """Takes a message apart, from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise InvalidValue("the message ends too early")
        self._at += size
        return piece

    def length(self) -> int:
        """The next length: seven bits a byte, the lowest first."""
        value = 0
        for shift in (0, 7, 14):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise InvalidValue("a length has more than three bytes")

    def rest(self) -> bytes:
        """What has not been taken."""
        return self._data[self._at :]

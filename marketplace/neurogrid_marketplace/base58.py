"""Base58 in Bitcoin's alphabet: how Solana and libp2p write keys, signatures and ids.

Written out here because the package that libp2p uses has had no release since 2021, and forty lines
are less than a dependency of the SDK.
"""

from .errors import InvalidValue

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}
# Ten digits fit into a machine word, so that the slow long arithmetic runs once per ten.
_CHUNK = 10
_CHUNK_BASE = 58**_CHUNK
# Enough for the largest Solana transaction; decoding time grows with the square of the length.
TEXT_LENGTH_MAX = 2048


def encode(data: bytes) -> str:
    """Text of ``data``; each leading zero byte is a leading ``1``."""
    number = int.from_bytes(data, "big")
    chunks: list[str] = []
    while number:
        number, rest = divmod(number, _CHUNK_BASE)
        digits = ""
        for _ in range(_CHUNK):
            rest, digit = divmod(rest, 58)
            digits = _ALPHABET[digit] + digits
        chunks.append(digits)
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(chunks)).lstrip("1")


def decode(text: str, length: int | None = None) -> bytes:
    """Bytes of ``text``, exactly ``length`` of them where it is given.

    Raises:
        InvalidValue: a character outside the alphabet, too many of them, or another length.
    """
    # 1.366 characters per byte: text that could never be so short is not even converted.
    longest = TEXT_LENGTH_MAX if length is None else length * 11 // 8 + 1
    if len(text) > longest:
        raise InvalidValue(f"base58 text of {len(text)} characters (at most {longest})")
    number = 0
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        value = 0
        for character in chunk:
            digit = _DIGITS.get(character)
            if digit is None:
                raise InvalidValue(f"{character!r} is not a base58 character")
            value = value * 58 + digit
        number = number * 58 ** len(chunk) + value
    zeros = len(text) - len(text.lstrip("1"))
    data = b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if length is not None and len(data) != length:
        raise InvalidValue(f"{text!r} stands for {len(data)} bytes, not {length}")
    return data

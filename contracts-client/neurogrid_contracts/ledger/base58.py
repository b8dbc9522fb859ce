"""Base58 in Bitcoin's alphabet, the form of keys, signatures and instruction data in the RPC."""

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}
# Ten digits fit into a machine word, so that the slow long arithmetic runs once per ten.
_CHUNK = 10
_CHUNK_BASE = 58**_CHUNK
# Enough for the largest transaction; decoding time grows with the square of the length.
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


def decode(text: str) -> bytes:
    """Bytes of ``text``.

    Raises:
        ValueError: a character outside of the alphabet, or more than ``TEXT_LENGTH_MAX`` of them.
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise ValueError(f"base58 text of {len(text)} characters (max: {TEXT_LENGTH_MAX})")
    number = 0
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        value = 0
        for character in chunk:
            digit = _DIGITS.get(character)
            if digit is None:
                raise ValueError(f"{character!r} is not a base58 character")
            value = value * 58 + digit
        number = number * 58 ** len(chunk) + value
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")

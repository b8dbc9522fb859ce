"""Base58 with Bitcoin's alphabet: how Solana writes addresses and signatures."""

from neurogrid_wallet.errors import KeyInvalid

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}

# A 64-byte signature takes at most 88 characters, the longest thing read here. The conversion is
# quadratic, so that text from outside must not choose its own length.
_TEXT_LENGTH_MAX = 88


def encode(value: bytes) -> str:
    """``value`` as Base58; each leading zero byte becomes one "1"."""
    number = int.from_bytes(value, "big")
    characters: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        characters.append(_ALPHABET[digit])
    zeros = len(value) - len(value.lstrip(b"\0"))
    return _ALPHABET[0] * zeros + "".join(reversed(characters))


def decode(text: str, length: int) -> bytes:
    """The ``length`` bytes that ``text`` stands for.

    Raises:
        KeyInvalid: a foreign character, or another number of bytes.
    """
    if not 0 < len(text) <= _TEXT_LENGTH_MAX:
        raise KeyInvalid(f"Base58 text of {len(text)} characters, expected {length} bytes")
    number = 0
    for character in text:
        value = _VALUES.get(character)
        if value is None:
            raise KeyInvalid(f"{character!r} is not a Base58 character")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip(_ALPHABET[0]))
    decoded = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(decoded) != length:
        raise KeyInvalid(f"{text!r} stands for {len(decoded)} bytes, expected {length}")
    return decoded

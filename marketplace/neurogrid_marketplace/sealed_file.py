"""Sealed inputs as files: encrypted in chunks, so that neither side ever holds a whole one in memory.

    8 bytes   NGSEAL01
    32 bytes  salt, random for each file
    chunks    ChaCha20-Poly1305 of 65,536 bytes each, the last one shorter; 16 bytes of tag after each

The file's key is HKDF-SHA256 of the task's content key with the salt. The nonce of a chunk is its number
(11 bytes, big-endian) and one byte that says whether it is the last: so chunks can't be reordered, left
out, repeated or cut off. This is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015)
with age's parameters. An empty file has one empty chunk; no other file has an empty one.
"""

from . import primitives
from .errors import SealBroken

KEY_BYTES = 32
SALT_BYTES = 32
CHUNK_BYTES = 64 * 1024
_MAGIC = b"NGSEAL01"
_TAG_BYTES = 16
_SEALED_CHUNK_BYTES = CHUNK_BYTES + _TAG_BYTES
_HEADER_BYTES = len(_MAGIC) + SALT_BYTES
_INFO = b"neurogrid:sealed-input:v1"


def sealed_size(size_bytes: int) -> int:
    """How large a file of this size is when it is sealed."""
    chunks = max(1, -(-size_bytes // CHUNK_BYTES))
    return _HEADER_BYTES + size_bytes + chunks * _TAG_BYTES


class FileSealer:
    """Seals one file.

    Args:
        content_key: the task's; salt: random, and of this file alone.
    """

    def __init__(self, content_key: bytes, salt: bytes) -> None:
        self.header = _MAGIC + salt
        self._cipher = _cipher(content_key, salt)
        self._number = 0

    def seal(self, chunk: bytes, *, is_last: bool) -> bytes:
        """The next chunk: ``CHUNK_BYTES`` long, unless it is the last."""
        assert is_last or len(chunk) == CHUNK_BYTES, "only the last chunk is shorter"
        nonce = _nonce(self._number, is_last)
        self._number += 1
        return self._cipher.encrypt(nonce, chunk, None)


class FileOpener:
    """Opens one sealed file as its bytes arrive, in pieces of any size."""

    def __init__(self, content_key: bytes) -> None:
        self._content_key = content_key
        self._cipher: primitives.ChaCha20Poly1305 | None = None
        self._buffer = bytearray()
        self._number = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what they let us read.

        Raises:
            SealBroken: they are not what was sealed with this key.
        """
        self._buffer += data
        if self._cipher is None:
            if len(self._buffer) < _HEADER_BYTES:
                return b""
            self._cipher = self._begin()
        opened = bytearray()
        # What could be the last chunk waits for the end.
        while len(self._buffer) > _SEALED_CHUNK_BYTES:
            opened += self._open(bytes(self._buffer[:_SEALED_CHUNK_BYTES]), is_last=False)
            del self._buffer[:_SEALED_CHUNK_BYTES]
        return bytes(opened)

    def finish(self) -> bytes:
        """The rest, now that no more bytes come.

        Raises:
            SealBroken: the file was cut off, or as for `feed`.
        """
        if self._cipher is None:
            raise SealBroken("shorter than the header of a sealed file")
        last = self._open(bytes(self._buffer), is_last=True)
        if not last and self._number > 1:
            raise SealBroken("an empty chunk at the end of a file that is not empty")
        return last

    def _begin(self) -> "primitives.ChaCha20Poly1305":
        if self._buffer[: len(_MAGIC)] != _MAGIC:
            raise SealBroken("not a sealed file")
        salt = bytes(self._buffer[len(_MAGIC) : _HEADER_BYTES])
        del self._buffer[:_HEADER_BYTES]
        return _cipher(self._content_key, salt)

    def _open(self, chunk: bytes, *, is_last: bool) -> bytes:
        assert self._cipher is not None, "the header comes first"
        try:
            opened = self._cipher.decrypt(_nonce(self._number, is_last), chunk, None)
        except primitives.InvalidTag as error:
            raise SealBroken(
                f"chunk {self._number} does not authenticate: another key, or changed bytes"
            ) from error
        self._number += 1
        return opened


def _cipher(content_key: bytes, salt: bytes) -> "primitives.ChaCha20Poly1305":
    derived = primitives.HKDF(
        algorithm=primitives.SHA256(), length=KEY_BYTES, salt=salt, info=_INFO
    ).derive(content_key)
    return primitives.ChaCha20Poly1305(derived)


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])

"""Recordings on their way to a model, and which bytes begin one: said before a node is paid for finding out that it cannot read them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from neurogrid_marketplace.sound_length import ENDS_BYTES, longest_ms

_PIECE_BYTES = 64 * 1024
# The bytes at the beginning of each container that OpenAI names (flac, m4a, mp3, mp4, mpeg, mpga, oga, ogg, wav, webm).
_STARTS = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3", b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba")
_MP4_BOX = b"ftyp"
HEAD_BYTES = 12
FORMATS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")


def is_recording(head: bytes) -> bool:
    """Whether a file of these formats may begin so.

    Args:
        head: its first `HEAD_BYTES`.
    """
    if head.startswith(_STARTS) or head[4:8] == _MP4_BOX:
        return True
    # A frame of MPEG audio, of any layer, or AAC: eleven bits that are set.
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0


class OpenedFile(Protocol):
    """A file that is open for reading."""

    async def seek(self, offset: int) -> None:
        """Go on from there."""

    async def read(self, size: int = -1) -> bytes:
        """So much of it; nothing at its end."""


class HeldFile:
    """A file in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    async def seek(self, offset: int) -> None:
        """Go on from there."""
        self._at = offset

    async def read(self, size: int = -1) -> bytes:
        """So much of it; nothing at its end."""
        piece = self._data[self._at :] if size < 0 else self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording, as long as its sender's request lasts.

    Attributes:
        name: a plain file name, whose end says what it is.
    """

    name: str
    file: OpenedFile
    size_bytes: int

    async def pieces(self) -> AsyncIterator[bytes]:
        """Its bytes, from the beginning on."""
        await self.file.seek(0)
        while piece := await self.file.read(_PIECE_BYTES):
            yield piece

    async def held(self) -> "Recording":
        """The same, in memory: it lasts."""
        await self.file.seek(0)
        data = await self.file.read()
        return Recording(self.name, HeldFile(data), len(data))

    async def longest_ms(self) -> int | None:
        """How much sound it has at most, by its own header; None: that does not say."""
        await self.file.seek(0)
        head = await self.file.read(ENDS_BYTES)
        await self.file.seek(max(0, self.size_bytes - ENDS_BYTES))
        return longest_ms(head, await self.file.read(ENDS_BYTES), self.size_bytes)

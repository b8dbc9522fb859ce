"""A form with a recording, as a model's server gets it (multipart/form-data, RFC 7578). Its file is never held as a whole."""

import copy
import secrets
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256

from .recordings import Recording

_BOUNDARY_BYTES = 16


class FormBody:
    """A body that can be sent more than once.

    Args:
        fields: names and values of ours.

    Attributes:
        content_type: the header that goes with it.
        fields: as they were given.
    """

    def __init__(self, fields: Sequence[tuple[str, str]], recording: Recording) -> None:
        # Nobody who makes a recording can know it, so it stands in none.
        boundary = secrets.token_hex(_BOUNDARY_BYTES)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        words = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields
        )
        file = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{recording.name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self.fields = tuple(fields)
        self._before = (words + file).encode()
        self._recording = recording
        self._after = f"\r\n--{boundary}--\r\n".encode()

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return len(self._before) + self._recording.size_bytes + len(self._after)

    async def pieces(self) -> AsyncIterator[bytes]:
        """From its beginning on."""
        yield self._before
        async for piece in self._recording.pieces():
            yield piece
        yield self._after

    async def held(self) -> "FormBody":
        """The same, byte for byte, whose recording lasts."""
        held = copy.copy(self)
        held._recording = await self._recording.held()
        return held

    async def file_sha256(self) -> str:
        """Of its recording, in hexadecimal digits."""
        digest = sha256()
        async for piece in self._recording.pieces():
            digest.update(piece)
        return digest.hexdigest()

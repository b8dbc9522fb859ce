"""Links to files of an account that anybody may follow for a while: what an answer says where it says a URL.

A link says which file of which account it opens, and until when, and is signed: nothing is stored, every coordinator of the
market's account understands it, and whoever has it learns of one file alone.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

from .errors import NotFound

# As long as OpenAI's own.
LINK_S: Final = 3600
_CHARS_MAX: Final = 1024
_SIGNATURE_BYTES: Final = 16
_NOT_GOOD: Final = "this link is not good, or not any more"


class _Opens(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    account_id: str
    sha256: str
    name: str
    until_s: int


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """What a link opens; ``name`` says what is in it."""

    account_id: str
    sha256: str
    name: str


class FileLinks:
    """Makes links, and opens them.

    Args:
        secret: of this market's coordinators alone.
        now_s: Unix time.
    """

    def __init__(self, secret: bytes, now_s: Callable[[], int]) -> None:
        self._secret = secret
        self._now_s = now_s

    def made(self, file: LinkedFile) -> str:
        """The word that opens it from now on for `LINK_S`."""
        opens = _Opens(file.account_id, file.sha256, file.name, self._now_s() + LINK_S)
        said = msgspec.json.encode(opens)
        return base64.urlsafe_b64encode(self._signature(said) + said).decode().rstrip("=")

    def opened(self, word: str) -> LinkedFile:
        """What such a word opens.

        Raises:
            NotFound: it is none of ours, or too old.
        """
        try:
            data = base64.urlsafe_b64decode(word[:_CHARS_MAX] + "==")
            signature, said = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
            if not hmac.compare_digest(signature, self._signature(said)):
                raise NotFound(_NOT_GOOD)
            opens = msgspec.json.decode(said, type=_Opens)
        except (ValueError, msgspec.DecodeError) as error:
            raise NotFound(_NOT_GOOD) from error
        if opens.until_s < self._now_s():
            raise NotFound(_NOT_GOOD)
        return LinkedFile(opens.account_id, opens.sha256, opens.name)

    def _signature(self, said: bytes) -> bytes:
        return hmac.new(self._secret, said, hashlib.sha256).digest()[:_SIGNATURE_BYTES]

"""The outline of a JSON document as it passes by: its upper levels, with long texts cut. Pure.

An answer may have megabytes (a picture, embeddings), and is never held: what says how much it came to stands near its
top. Bytes that are no JSON give an outline that is none either.
"""

import json
import re
from typing import Any, Final

# {"data": [{"b64_json": ...}], "usage": {"prompt_tokens_details": {...}}} has three levels.
_LEVELS: Final = 3
_TEXT_BYTES: Final = 64
_OUTLINE_BYTES_MAX: Final = 512 * 1024
_STRUCTURE: Final = re.compile(rb'["{}\[\]]')
_IN_TEXT: Final = re.compile(rb'["\\]')
_OPENING: Final = b"{["


class JsonOutline:
    """Takes a document in pieces."""

    def __init__(self) -> None:
        self._outline = bytearray()
        self._level = 0
        self._is_text = False
        self._is_escaped = False
        self._text_bytes = 0
        self._is_too_long = False

    def feed(self, data: bytes) -> None:
        """The next piece."""
        place = 0
        while place < len(data) and not self._is_too_long:
            place = self._text(data, place) if self._is_text else self._structure(data, place)
            self._is_too_long = len(self._outline) > _OUTLINE_BYTES_MAX

    def value(self) -> Any:
        """What is left of it, None where that can't be read."""
        if self._is_too_long:
            return None
        try:
            return json.loads(self._outline.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None

    def _keep(self, data: bytes) -> None:
        if self._level <= _LEVELS:
            self._outline += data

    def _text(self, data: bytes, place: int) -> int:
        if self._is_escaped:
            # No name that counts has an escape; what it stood for is not kept.
            self._is_escaped = False
            return place + 1
        found = _IN_TEXT.search(data, place)
        end = found.start() if found else len(data)
        kept = data[place : min(end, place + _TEXT_BYTES - self._text_bytes)]
        self._text_bytes += len(kept)
        self._keep(kept)
        if found is None:
            return end
        if found.group() == b"\\":
            self._is_escaped = True
        else:
            self._is_text = False
            self._keep(b'"')
        return end + 1

    def _structure(self, data: bytes, place: int) -> int:
        found = _STRUCTURE.search(data, place)
        end = found.start() if found else len(data)
        self._keep(data[place:end])
        if found is None:
            return end
        mark = found.group()
        if mark == b'"':
            self._keep(mark)
            self._is_text, self._text_bytes = True, 0
        elif mark in _OPENING:
            self._keep(mark)
            self._level += 1
        else:
            self._level -= 1
            self._keep(mark)
        return end + 1

"""A JSON object as it is written, byte by byte: what may follow, and how many bytes it takes to end. Pure.

A model whose every token is looked at in this way writes JSON whatever it would rather write, and ends it where its tokens do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# Deeper ones are of no use to whoever reads them.
_DEPTH_MAX = 32
_SPACE = frozenset(b" \n\r\t")
_DIGITS = frozenset(b"0123456789")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_ESCAPED = frozenset(b'"\\/bfnrt')
_WORDS = {ord("t"): b"rue", ord("f"): b"alse", ord("n"): b"ull"}
# Of a number, after what has been read of it: what may follow, and whether it may end.
_NUMBERS = {
    "-": ({**dict.fromkeys(b"123456789", "d"), ord("0"): "0"}, False),
    "0": ({ord("."): ".", ord("e"): "e", ord("E"): "e"}, True),
    "d": ({**dict.fromkeys(_DIGITS, "d"), ord("."): ".", ord("e"): "e", ord("E"): "e"}, True),
    ".": (dict.fromkeys(_DIGITS, "f"), False),
    "f": ({**dict.fromkeys(_DIGITS, "f"), ord("e"): "e", ord("E"): "e"}, True),
    "e": ({**dict.fromkeys(_DIGITS, "x"), ord("+"): "s", ord("-"): "s"}, False),
    "s": (dict.fromkeys(_DIGITS, "x"), False),
    "x": (dict.fromkeys(_DIGITS, "x"), True),
}
# How many bytes each state needs before its innermost object or array can be closed.
_REST = {
    "value": 1,
    "first-value": 0,
    "first-key": 0,
    "key": 4,
    "in-key": 3,
    "colon": 2,
    "in-text": 1,
    "after": 0,
}


@dataclass(frozen=True)
class JsonText:
    """An object so far.

    Attributes:
        open: "}" and "]" that it has yet to be closed by, the innermost last.
        state: what is expected; "start" before its first brace, "done" after its last.
        part: of what is being read: of a number, of a word, of an escape.
        spaced: white space was the last; there is never more of it than one.
    """

    open: str = ""
    state: str = "start"
    part: str = ""
    spaced: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it is whole."""
        return self.state == "done"

    @property
    def left(self) -> int:
        """How many bytes it takes to make it whole, at least."""
        if self.state in ("start", "done"):
            return 2 if self.state == "start" else 0
        inside = _REST.get(self.state, 0)
        if self.state in ("in-key", "in-text") and self.part:
            # The end of an escape comes before that of its text.
            inside += 1 if self.part == "\\" else int(self.part)
        elif self.state == "word":
            inside = len(self.part)
        elif self.state == "number":
            inside = 0 if _NUMBERS[self.part][1] else 1
        return inside + len(self.open)

    def after(self, data: bytes) -> JsonText | None:
        """With these bytes, too; None: then it would be none."""
        text: JsonText | None = self
        for byte in data:
            if text is None:
                return None
            text = text._next(byte)
        return text

    def _next(self, byte: int) -> JsonText | None:
        if self.state in ("in-key", "in-text"):
            return self._in_text(byte)
        if self.state == "word":
            if byte != ord(self.part[0]):
                return None
            rest = self.part[1:]
            return replace(self, part=rest) if rest else self._value_ended()
        if self.state == "number":
            following, may_end = _NUMBERS[self.part]
            if byte in following:
                return replace(self, part=following[byte])
            return self._value_ended()._next(byte) if may_end else None
        if byte in _SPACE:
            # Before and after it there need not be any.
            if self.spaced or self.state in ("start", "done"):
                return None
            return replace(self, spaced=True)
        return replace(self, spaced=False)._structure(chr(byte), byte)

    def _structure(self, letter: str, byte: int) -> JsonText | None:
        state = self.state
        if state == "start":
            return self._opened("}") if letter == "{" else None
        if state in ("first-key", "key") and letter == '"':
            return replace(self, state="in-key")
        if state == "colon":
            return replace(self, state="value") if letter == ":" else None
        if letter in "}]" and self.open.endswith(letter):
            if state in ("after", "first-key", "first-value"):
                return replace(self, open=self.open[:-1])._value_ended()
            return None
        if state == "after":
            wanted = "key" if self.open[-1:] == "}" else "value"
            return replace(self, state=wanted) if letter == "," else None
        return self._value(letter, byte) if state in ("value", "first-value") else None

    def _value(self, letter: str, byte: int) -> JsonText | None:
        if letter == '"':
            return replace(self, state="in-text")
        if letter in "{[":
            return self._opened("}" if letter == "{" else "]")
        if byte in _WORDS:
            return replace(self, state="word", part=_WORDS[byte].decode())
        if letter == "-" or byte in _DIGITS:
            return replace(self, state="number", part=letter if letter in "-0" else "d")
        return None

    def _in_text(self, byte: int) -> JsonText | None:
        if self.part == "\\":
            if byte == ord("u"):
                return replace(self, part="4")
            return replace(self, part="") if byte in _ESCAPED else None
        if self.part:
            left = int(self.part) - 1
            return replace(self, part=str(left) if left else "") if byte in _HEX else None
        if byte == ord('"'):
            return replace(self, state="colon") if self.state == "in-key" else self._value_ended()
        if byte == ord("\\"):
            return replace(self, part="\\")
        return self if byte >= ord(" ") else None

    def _opened(self, by: str) -> JsonText | None:
        if len(self.open) >= _DEPTH_MAX:
            return None
        state = "first-key" if by == "}" else "first-value"
        return replace(self, open=self.open + by, state=state)

    def _value_ended(self) -> JsonText:
        return replace(self, state="after" if self.open else "done", part="")

"""Text as tokens: bytes, and pairs of tokens that were often beside each other in what the model has read.

Token 0 to 255 is that byte, token 256 + n the two of merge n. Any text has tokens, and no token is unknown;
byte 0, which no text should have, ends a text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

END = 0
_BYTES = 256
# No pair reaches over the border of two words. A word has its space before it.
# One that goes on for ever is several: merging takes as long as the square of a word.
_WORD = re.compile(rb" ?[A-Za-z']{1,64}| ?[0-9]{1,64}| ?[^A-Za-z0-9\s]{1,64}|\s")
# Words whose tokens are remembered; texts have fewer, unless somebody wants to fill a server's memory.
_KNOWN_MAX = 10_000

Merges = Sequence[tuple[int, int]]


class BytePairs:
    """A vocabulary.

    Args:
        merges: the two tokens of each, the most frequent first; each of bytes and earlier merges.
    """

    def __init__(self, merges: Merges) -> None:
        self._ranks = {pair: _BYTES + number for number, pair in enumerate(merges)}
        self._texts = [bytes([number]) for number in range(_BYTES)]
        for left, right in merges:
            self._texts.append(self._texts[left] + self._texts[right])
        self._known: dict[bytes, list[int]] = {}

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return len(self._texts)

    @property
    def longest(self) -> int:
        """Bytes of the longest token."""
        return max(map(len, self._texts))

    @property
    def remembered(self) -> int:
        """Words whose tokens are not to be found again."""
        return len(self._known)

    def encode(self, text: bytes) -> list[int]:
        """The tokens of a text."""
        found: list[int] = []
        for word in _WORD.findall(text):
            known = self._known.get(word)
            if known is None:
                if len(self._known) >= _KNOWN_MAX:
                    self._known.clear()
                known = self._known[word] = self._encode_word(word)
            found += known
        return found

    def decode(self, tokens: Iterable[int]) -> bytes:
        """The text of tokens; the end is none."""
        return b"".join(self._texts[token] for token in tokens if token != END)

    def _encode_word(self, word: bytes) -> list[int]:
        tokens = list(word)
        while len(tokens) > 1:
            ranks = [self._ranks.get(pair, self.size) for pair in pairwise(tokens)]
            best = min(ranks)
            if best == self.size:
                break
            place = ranks.index(best)
            tokens[place : place + 2] = [best]
        return tokens


def learn(text: bytes, size: int) -> list[tuple[int, int]]:
    """The merges of a vocabulary of ``size`` tokens for texts like this one."""
    words = {tuple(word): count for word, count in Counter(_WORD.findall(text)).items()}
    merges: list[tuple[int, int]] = []
    while len(merges) < size - _BYTES:
        pairs: Counter[tuple[int, int]] = Counter()
        for tokens, count in words.items():
            for pair in pairwise(tokens):
                pairs[pair] += count
        if not pairs:
            break
        # Ties go to the smaller pair, so that the same text has the same vocabulary.
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        token = _BYTES + len(merges)
        merges.append(best)
        words = {_merged(tokens, best, token): count for tokens, count in words.items()}
    return merges


def _merged(tokens: tuple[int, ...], pair: tuple[int, int], token: int) -> tuple[int, ...]:
    if pair[0] not in tokens:
        return tokens
    made: list[int] = []
    for each in tokens:
        if made and each == pair[1] and made[-1] == pair[0]:
            made[-1] = token
        else:
            made.append(each)
    return tuple(made)

"""Whether a model's answer is the one that the model gives: it is asked again elsewhere, and both are compared. Pure.

Only what every server of the model should answer alike is: nothing is drawn by chance in it, or by a seed that draws the same
everywhere. Even such answers differ where another machine adds in another order, texts most of all; so a difference is a piece of
evidence, weighed by `suspicion`, and never a proof. Where servers tell how likely tokens were, these are compared as far as the texts are
the same: they hardly depend on the machine, and much on the weights. What was drawn by chance can still be counted elsewhere.
docs/model-checks.md has the measurements that the bounds here are from.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp
from typing import Final

from .model_pictures import Picture, difference
from .model_reply import Reply, Token
from .model_transcript import Transcript, drift_nats, word_errors
from .model_vectors import Vectors, distance, farthest

# Honest servers with 16-bit numbers differ by less than a hundredth on average; weights of four bits by more than a twentieth, mostly by
# more than a tenth (docs/model-checks.md has the figures). Nats.
DRIFT_MAX_NATS: Final = 0.05
# From fewer tokens their likelihood says nothing.
_TOKENS_MIN: Final = 8
# Of one model two different tokens at one place are not likely both, beyond what drift explains.
_BOTH_LIKELY: Final = 1.2
# Counts of one text by one vocabulary are the same; these are for a server that counts its end, or not.
_COUNT_SLACK: Final = 2
_COUNT_PERMILLE: Final = 20
# A text that was drawn by chance can have been written in other tokens than a vocabulary reads it in, a fortieth more.
_WRITTEN_PERMILLE: Final = 50
# Where the texts differ, and no server counted the delivered one, only how densely they were counted can be compared.
_DENSITY: Final = 1.5
_DENSITY_BYTES_MIN: Final = 64
_DENSITY_SLACK: Final = 8
# Of vectors: honest servers with 16-bit numbers are a hundredth of their length apart at most, weights of six bits a twentieth and more.
VECTORS_APART_MAX: Final = 0.03
# Of pictures whose server draws the same by the same seed: honest ones differ in less than a hundredth of a percent of their brightness.
PICTURES_APART_MAX: Final = 0.02
# Of transcripts: in so many of a hundred words. Fewer words than these say nothing.
WORDS_APART_MAX: Final = 0.1
_WORDS_MIN: Final = 8
# The mean over a piece of speech hides what differs in each of its tokens.
SPEECH_DRIFT_MAX_NATS: Final = 0.02
# Each second that has begun is counted, and a decoder may fill the last one.
_SOUND_SLACK_MS: Final = 1000


class Text(StrEnum):
    """How a delivered text stands to the one that another server gave."""

    SAME = "same"
    DIVERGED = "diverged"
    # It ends where the other goes on.
    SHORTER = "shorter"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a delivered answer and another one say together.

    Attributes:
        text: None: there are none, or they may differ.
        same_bytes: of the texts, from the beginning.
        told: in how many tokens, vectors, words or pictures it was seen how near the two are; 0: in too few.
        drift_nats: by how much the likelihood differs on average there.
        is_far: they differ by more than honest machines do.
        claims_more: it says that it read, wrote or heard more than the other says of the same; None: nobody counted it.
        apart: of vectors, pictures and transcripts: by how much they differ, as a share.
    """

    text: Text | None
    same_bytes: int = 0
    told: int = 0
    drift_nats: float = 0.0
    is_far: bool = False
    claims_more: bool | None = False
    apart: float = 0.0

    @property
    def speaks_against(self) -> bool:
        """Whether it is evidence against whoever delivered the answer."""
        return bool(self.claims_more) or self.is_far or self.is_shorter or self.has_diverged

    @property
    def is_shorter(self) -> bool:
        """Whether it ended too early."""
        return self.text is Text.SHORTER

    @property
    def has_diverged(self) -> bool:
        """Whether the texts differ, and nothing but the texts can be compared."""
        return self.text is Text.DIVERGED and not self.told


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tokens another server counts in what was asked, and in what was delivered; None: it was not asked, or does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None


Answer = Reply | Vectors | Transcript | Picture


@dataclass(frozen=True, slots=True)
class Other:
    """What another owner's server says.

    Attributes:
        reply: its own answer to the same; None: it may be another one, so only counts were asked for.
        is_trusted: the operator takes its word.
        counts: of the delivered text.
    """

    reply: Answer | None
    is_trusted: bool = False
    counts: Counts = Counts()


def compare(delivered: Answer, other: Answer, counts: Counts = Counts()) -> Comparison:
    """See the module.

    Args:
        counts: of the delivered text, by the other's server.
    """
    match delivered, other:
        case Reply(), Reply():
            return _of_texts(delivered, other, counts)
        case Vectors(), Vectors():
            apart = distance(delivered, other)
            more = delivered.input_tokens > _slack(other.input_tokens)
            claims_more = more if other.input_tokens else None
            told, is_far = len(other.vectors), apart > VECTORS_APART_MAX
            return Comparison(None, told=told, is_far=is_far, claims_more=claims_more, apart=apart)
        case Transcript(), Transcript():
            return _of_transcripts(delivered, other)
        case Picture(points=ours), Picture(points=theirs) if theirs is not None:
            # What no picture is, where the other one is, is another one.
            apart = 1.0 if ours is None else difference(ours, theirs)
            is_far = apart > PICTURES_APART_MAX
            return Comparison(None, told=1, is_far=is_far, claims_more=None, apart=apart)
    return Comparison(None, claims_more=None)


class Judged(StrEnum):
    """What a check comes to."""

    # It is as the model answers.
    RIGHT = "right"
    # It is not, as others say who agree with each other.
    WRONG = "wrong"
    # Nobody can tell whose is the wrong one.
    UNDECIDED = "undecided"


def judge(delivered: Answer, others: Sequence[Other]) -> tuple[Judged, Comparison] | None:
    """What others say of a delivered answer; None: one more has to be asked.

    Args:
        others: one, or two, each of an owner who has no other part in it.
    """
    first = seen_by(delivered, others[0])
    if not first.speaks_against:
        return Judged.RIGHT, first
    if others[0].is_trusted:
        return Judged.WRONG, first
    if len(others) == 1:
        return None
    second = seen_by(delivered, others[1])
    if not second.speaks_against:
        return Judged.RIGHT, second
    if others[1].is_trusted:
        return Judged.WRONG, second
    if _agree(others[0], others[1]):
        return Judged.WRONG, first
    return Judged.UNDECIDED, first


def seen_by(delivered: Answer, other: Other) -> Comparison:
    """What one other server says of a delivered answer."""
    if other.reply is not None:
        return compare(delivered, other.reply, other.counts)
    assert isinstance(delivered, Reply), "nothing else is counted"
    return Comparison(None, claims_more=_counted_more(delivered, other.counts))


def evident(delivered: Answer, others: Sequence[Answer | None]) -> list[Answer | None]:
    """Answers as they are kept where they differ, the delivered one first: of vectors those that are farthest apart."""
    replies = [delivered, *others]
    vectors = [each for each in replies if isinstance(each, Vectors)]
    if len(vectors) < len(replies):
        return replies
    place = farthest(vectors[0], vectors[1])
    return [replace(each, vectors=each.vectors[place : place + 1]) for each in vectors]


def is_drawn(secret: bytes, request_id: str, permille: int) -> bool:
    """Whether a request's answer is checked: by lot, which nobody knows who has not the secret."""
    digest = hmac.digest(secret, request_id.encode(), hashlib.sha256)
    return int.from_bytes(digest[:8], "big") * 1000 < permille << 64


def _of_texts(delivered: Reply, other: Reply, counts: Counts) -> Comparison:
    ours, theirs = (each.text.encode("utf-8", "surrogatepass") for each in (delivered, other))
    same = _same(ours, theirs)
    if len(ours) == same == len(theirs):
        text = Text.SAME
    elif len(ours) == same:
        text = Text.SHORTER
    else:
        text = Text.DIVERGED
    told, drift, is_far = _drift(delivered.tokens, other.tokens)
    claims_more = _claims_more(delivered, other, text, counts)
    return Comparison(text, same, told, drift, is_far, claims_more)


def _of_transcripts(delivered: Transcript, other: Transcript) -> Comparison:
    ours, theirs = delivered.words, other.words
    more = delivered.audio_ms > other.audio_ms + _SOUND_SLACK_MS
    claims_more = more if other.audio_ms else None
    longest = max(len(ours), len(theirs))
    if longest < _WORDS_MIN:
        return Comparison(None, claims_more=claims_more)
    errors = word_errors(ours, theirs)
    apart = errors / longest
    alike, drift = drift_nats(delivered, other)
    is_drifting = alike >= _WORDS_MIN and drift > SPEECH_DRIFT_MAX_NATS
    text = Text.SAME
    if apart > WORDS_APART_MAX:
        # Where nearly all that differs is missing, it is the same text, cut.
        others = errors - max(0, len(theirs) - len(ours))
        text = Text.SHORTER if others <= WORDS_APART_MAX * len(ours) else Text.DIVERGED
    is_far = text is Text.DIVERGED or is_drifting
    return Comparison(text, 0, longest, drift, is_far, claims_more, apart)


def _agree(one: Other, other: Other) -> bool:
    if one.reply is None or other.reply is None:
        return _nearly(one.counts.input_tokens, other.counts.input_tokens) and _nearly(
            one.counts.output_tokens, other.counts.output_tokens
        )
    return not (
        compare(one.reply, other.reply).speaks_against
        or compare(other.reply, one.reply).speaks_against
    )


def _nearly(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one is other
    return max(one, other) <= _slack(min(one, other))


def _same(ours: bytes, theirs: bytes) -> int:
    for place, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return place
    return min(len(ours), len(theirs))


def _drift(ours: Sequence[Token], theirs: Sequence[Token]) -> tuple[int, float, bool]:
    total, count = 0.0, 0
    contradicts = False
    for one, other in zip(ours, theirs, strict=False):
        if one.text != other.text:
            contradicts = exp(min(0.0, one.logprob)) + exp(min(0.0, other.logprob)) > _BOTH_LIKELY
            break
        total += abs(one.logprob - other.logprob)
        count += 1
    if count < _TOKENS_MIN:
        return 0, 0.0, False
    drift_nats = total / count
    return count, drift_nats, contradicts or drift_nats > DRIFT_MAX_NATS


def _claims_more(delivered: Reply, other: Reply, text: Text, counts: Counts) -> bool:
    if other.input_tokens and delivered.input_tokens > _slack(other.input_tokens):
        return True
    if text is Text.SAME:
        return bool(other.output_tokens) and delivered.output_tokens > _slack(other.output_tokens)
    if counts.output_tokens is not None:
        return _wrote_more(delivered, counts.output_tokens)
    if not other.output_tokens:
        return False
    ours, theirs = (len(each.text.encode("utf-8", "replace")) for each in (delivered, other))
    if theirs < _DENSITY_BYTES_MIN:
        return False
    likely = _DENSITY * ours * other.output_tokens / theirs
    return delivered.output_tokens > likely + _DENSITY_SLACK


def _counted_more(delivered: Reply, counts: Counts) -> bool | None:
    if counts.input_tokens is None and counts.output_tokens is None:
        return None
    read, written = counts.input_tokens, counts.output_tokens
    return (read is not None and delivered.input_tokens > _slack(read)) or (
        written is not None and _wrote_more(delivered, written)
    )


def _wrote_more(delivered: Reply, counted: int) -> bool:
    most = counted + counted * _WRITTEN_PERMILLE // 1000 + delivered.unseen_tokens
    return delivered.output_tokens > most


def _slack(tokens: int) -> int:
    return tokens + max(_COUNT_SLACK, tokens * _COUNT_PERMILLE // 1000)

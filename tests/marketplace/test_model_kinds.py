"""How far apart vectors, transcripts and pictures are, and what counts of one text say."""

import base64
import random
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest

from neurogrid_marketplace.model_check import (
    VECTORS_APART_MAX,
    Answer,
    Counts,
    Judged,
    Other,
    Text,
    compare,
    evident,
    judge,
    seen_by,
)
from neurogrid_marketplace.model_pictures import Picture, PictureReader, difference
from neurogrid_marketplace.model_reply import Reply, ReplyReader
from neurogrid_marketplace.model_transcript import (
    WORDS_MAX,
    Heard,
    Transcript,
    TranscriptReader,
    word_errors,
)
from neurogrid_marketplace.model_vectors import (
    VectorReader,
    Vectors,
    distance,
)
from neurogrid_marketplace.png_points import SIDE, Points, Unreadable, points_of
from neurogrid_marketplace.suspicion import Suspicion

WORDS = tuple(f"word{number}" for number in range(20))


def unit(angle: float) -> tuple[float, ...]:
    return (1 - angle * angle) ** 0.5, angle


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((1.0, 0.0), (1.0, 0.0), 0),
        ((1.0, 0.0), (0.0, 1.0), 2**0.5),
        ((1.0, 0.0), (2.0, 0.0), 0.5),
        ((0.0, 0.0), (0.0, 0.0), 0),
        ((1.0,), (1.0, 0.0), 1),
        ((float("nan"), float("nan")), (1.0, 0.0), 1),
        ((float("nan"), 0.0), (1.0, 0.0), 1),
        ((float("inf"), 0.0), (float("inf"), 0.0), 1),
    ],
)
def test_vectors_are_apart_by_a_share_of_their_length(
    one: tuple[float, ...], other: tuple[float, ...], expected: float
) -> None:
    for pair in ((one, other), (other, one)):
        ours, theirs = (Vectors((unit(0), each)) for each in pair)
        assert distance(ours, theirs) == pytest.approx(expected)


def test_the_vector_that_is_farthest_apart_counts_and_is_kept() -> None:
    right = Vectors((unit(0), unit(0), unit(0)), 7)
    wrong = Vectors((unit(0), unit(0.2), unit(0)), 7)
    seen = compare(wrong, right)
    assert (seen.text, seen.told, seen.is_far, seen.claims_more) == (None, 3, True, False)
    assert seen.apart > VECTORS_APART_MAX
    assert not compare(Vectors((unit(0.01),) * 3, 7), right).speaks_against
    assert evident(wrong, [right, None]) == [wrong, right, None], "of one kind, or all of it"
    assert evident(wrong, [right, right]) == [
        Vectors((unit(0.2),), 7),
        *2 * [Vectors((unit(0),), 7)],
    ]


@pytest.mark.parametrize(("read", "claims_more"), [(100, False), (102, False), (103, True)])
def test_texts_to_embed_have_one_count(read: int, claims_more: bool) -> None:
    ours, theirs = Vectors((unit(0),), read), Vectors((unit(0),), 100)
    assert compare(ours, theirs).claims_more is claims_more
    assert compare(ours, replace(theirs, input_tokens=0)).claims_more is None


def test_vectors_are_read_as_numbers_and_in_base64() -> None:
    packed = base64.b64encode(struct.pack("<2f", 0.5, -0.25)).decode()
    for embedding in ([0.5, -0.25], packed):
        reader = VectorReader((1,))
        usage = {"prompt_tokens": 3}
        reader.feed({"data": [{}, {"embedding": embedding}], "usage": usage})
        assert (reader.is_whole, reader.reply()) == (True, Vectors(((0.5, -0.25),), 3))


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        [{"embedding": []}],
        [{"embedding": ["a"]}],
        [{"embedding": "%"}],
        [{"embedding": "YWI="}],
        [{"embedding": [10**400]}],
        [{"embedding": [0.0] * 5000}],
        [{"embedding": base64.b64encode(bytes(4 * 5000)).decode()}],
        ["a"],
    ],
)
def test_what_is_no_vector_is_not_compared(data: Any) -> None:
    reader = VectorReader((0,))
    reader.feed({"data": data})
    assert not reader.is_whole


@pytest.mark.parametrize(
    ("one", "other", "errors"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a c", "a b c", 1),
        ("", "a b", 2),
        ("b a", "a b", 2),
    ],
)
def test_words_are_wrong_where_they_have_to_be_changed(one: str, other: str, errors: int) -> None:
    assert word_errors(one.split(), other.split()) == errors
    assert word_errors(other.split(), one.split()) == errors


def said(words: tuple[str, ...], audio_ms: int = 8000, logprob: float | None = None) -> Transcript:
    pieces = () if logprob is None else (Heard(words, logprob),)
    return Transcript(words, pieces, audio_ms)


def test_transcripts_may_differ_in_a_tenth_of_their_words() -> None:
    right = said(WORDS)
    assert compare(said(("x", "y", *WORDS[2:])), right).text is Text.SAME
    seen = compare(said(("x", "y", "z", *WORDS[3:])), right)
    assert (seen.text, seen.is_far, seen.is_shorter) == (Text.DIVERGED, True, False)
    cut = compare(said(WORDS[:12]), right)
    assert (cut.text, cut.is_far, cut.is_shorter) == (Text.SHORTER, False, True)
    assert compare(said(()), right).is_shorter
    # More than others hear is another text.
    assert compare(said((*WORDS, *WORDS[:5])), right).is_far


def test_a_few_words_say_nothing_but_their_seconds_do() -> None:
    known = Suspicion().after(compare(said(("no",)), said(("yes",))), "a")
    assert (known.substitutes, known.shortens) == (0, 0)
    assert compare(said(("no",), 9001), said(("yes",), 8000)).claims_more
    assert not compare(said(("no",), 9000), said(("yes",), 8000)).claims_more
    assert compare(said(("no",)), said(("no",), 0)).claims_more is None


@pytest.mark.parametrize(("drift", "is_far"), [(0.0, False), (0.019, False), (0.03, True)])
def test_the_same_words_are_as_likely(drift: float, is_far: bool) -> None:
    assert compare(said(WORDS, logprob=-0.3 - drift), said(WORDS, logprob=-0.3)).is_far is is_far
    # In fewer words it says nothing, and where the words differ neither.
    few = WORDS[:5]
    assert not compare(said(few, logprob=-0.3 - drift), said(few, logprob=-0.3)).is_far
    other = ("x", *WORDS[1:])
    assert not compare(said(other, logprob=-0.3 - drift), said(WORDS, logprob=-0.3)).is_far


def test_a_transcript_is_read_whole_and_as_a_stream() -> None:
    whole = {
        "text": "To be, or NOT: don't!",
        "duration": 2.345,
        "segments": [{"text": " To be, or", "avg_logprob": -0.25}, {"text": " NOT: don't!"}],
        "usage": {"type": "duration", "seconds": 3},
    }
    reader = TranscriptReader()
    reader.feed(whole)
    words = ("to", "be", "or", "not", "don't")
    assert reader.reply() == Transcript(words, (Heard(("to", "be", "or"), -0.25),), 3000)
    streamed = TranscriptReader()
    streamed.feed({"type": "transcript.text.delta", "delta": "To be"})
    assert not streamed.is_whole
    streamed.feed({**whole, "type": "transcript.text.done"})
    assert (streamed.is_whole, streamed.reply()) == (True, reader.reply())


@pytest.mark.parametrize(
    "value",
    [{}, {"text": 3}, {"text": "a " * (WORDS_MAX + 1)}, {"text": "a" * 100_000}],
)
def test_what_is_no_transcript_or_too_long_is_not_compared(value: Any) -> None:
    reader = TranscriptReader()
    reader.feed(value)
    assert not reader.is_whole


def png(
    rows: list[tuple[int, bytes]], width: int, colour: int, bits: int = 8, laced: int = 0
) -> bytes:
    """A file of rows that have been filtered already."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I4s", len(data), kind) + data + bytes(4)

    head = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, laced)
    lines = zlib.compress(b"".join(bytes([kind]) + row for kind, row in rows))
    middle = len(lines) // 2
    parts = [
        (b"IHDR", head),
        (b"tEXt", b"hello"),
        (b"IDAT", lines[:middle]),
        (b"IDAT", lines[middle:]),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in [*parts, (b"IEND", b"")])


def filtered(rows: list[bytes], step: int) -> list[tuple[int, bytes]]:
    """Each row by the next of the five filters (PNG, 9.2), written as its definition has it."""
    found = []
    above = bytes(len(rows[0]))
    for number, row in enumerate(rows):
        kind = number % 5
        out = bytearray()
        for at, value in enumerate(row):
            a, b = row[at - step] if at >= step else 0, above[at]
            c = above[at - step] if at >= step else 0
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            out.append((value - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
        found.append((kind, bytes(out)))
        above = row
    return found


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("side", [SIDE, 2 * SIDE, 20])
def test_the_points_of_a_png_are_those_that_were_drawn(
    colour: int, channels: int, side: int
) -> None:
    lot = random.Random(colour)
    rows = [lot.randbytes(side * channels) for _ in range(side)]
    points = points_of(png(filtered(rows, channels), side, colour))
    expected = bytearray()
    for down in range(SIDE):
        for across in range(SIDE):
            row = rows[(2 * down + 1) * side // (2 * SIDE)]
            at = (2 * across + 1) * side // (2 * SIDE) * channels
            expected += row[at : at + 3] if channels > 2 else 3 * row[at : at + 1]
    assert points == Points(side, side, bytes(expected))


PLAIN = [(0, bytes(3 * SIDE))] * SIDE


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\xff\xd8\xff a JPEG",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\0\0",
        png(PLAIN, SIDE, 3),
        png(PLAIN, SIDE, 2, bits=16),
        png(PLAIN, SIDE, 2, laced=1),
        png(PLAIN, 0, 2),
        png(PLAIN, 2**31, 2),
        png([*PLAIN[:-1], (9, bytes(3 * SIDE))], SIDE, 2),
        png(PLAIN, SIDE + 1, 2),
        png(PLAIN, SIDE, 2)[:80],
        png(PLAIN, SIDE, 2).replace(b"IDAT", b"IDAX"),
    ],
)
def test_what_is_no_picture_is_said_to_be_none(file: bytes) -> None:
    with pytest.raises(Unreadable):
        points_of(file)


def picture(colour: int, side: int = 4) -> Picture:
    return Picture(b"", Points(side, side, bytes([colour]) * 48))


def test_pictures_are_as_far_apart_as_their_colours() -> None:
    one, other = picture(100), picture(151)
    assert one.points is not None
    assert other.points is not None
    assert difference(one.points, other.points) == pytest.approx(0.2)
    assert not compare(picture(100), picture(104)).speaks_against
    assert compare(picture(100), picture(106)).is_far
    assert compare(picture(100, 8), picture(100, 4)).is_far, "another size"
    # What cannot be read, where the other one can, is no picture; of two such nothing is known.
    assert compare(Picture(b""), picture(100)).is_far
    for nothing in (compare(picture(100), Picture(b"")), compare(Picture(b""), Picture(b""))):
        known = Suspicion().after(nothing, "a")
        assert (nothing.speaks_against, known.is_raised, nothing.told) == (False, False, 0)


def test_one_picture_of_an_answer_is_held() -> None:
    files = [base64.b64encode(each).decode() for each in (b"one", b"two")]
    reader = PictureReader(1)
    reader.feed({"data": [{"b64_json": each} for each in files]})
    assert (reader.is_whole, reader.reply()) == (True, Picture(b"two"))
    wrong: list[Any] = [
        None,
        [],
        [{}],
        [{}, {"url": "x"}],
        [{}, {"b64_json": "%"}],
        [{}, {"b64_json": ""}],
    ]
    for data in wrong:
        reader = PictureReader(1)
        reader.feed({"data": data})
        assert not reader.is_whole


DELIVERED = Reply("to be or not to be, that is", "length", (), 10, 100)


@pytest.mark.parametrize(
    ("read", "written", "claims_more"),
    [
        (10, 100, False),
        (8, 100, False),
        (7, 100, True),
        # Two for its end, and a twentieth for words that were drawn in other pieces.
        (10, 94, False),
        (10, 93, True),
        (None, 93, True),
        (7, None, True),
        (None, None, None),
    ],
)
def test_what_may_have_been_any_text_is_counted(
    read: int | None, written: int | None, claims_more: bool | None
) -> None:
    seen = seen_by(DELIVERED, Other(None, counts=Counts(read, written)))
    assert (seen.text, seen.claims_more) == (None, claims_more)
    known = Suspicion(substitutes=3, shortens=3, accounts=("a",)).after(seen, "b")
    assert (known.substitutes, known.shortens) == (3, 3), "it says nothing of these"
    assert known.overcounts == pytest.approx(3.91 if claims_more else 0, abs=0.01)


def test_thoughts_and_tools_have_tokens_that_write_nothing() -> None:
    def unseen(**message: Any) -> int:
        reader = ReplyReader(stop_bytes=5)
        reader.feed({"choices": [{"message": message}]})
        return reader.reply().unseen_tokens

    call = {"function": {"name": "f", "arguments": "{}"}}
    assert unseen(content="a") == 7
    assert unseen(content="a", reasoning_content="hm") == 23
    assert unseen(tool_calls=[call, call]) == 103


def test_a_text_that_parts_is_counted_by_the_others_server() -> None:
    other = replace(DELIVERED, text="to be and also more than that")
    far_too_many = replace(DELIVERED, output_tokens=130)
    assert not compare(far_too_many, other).claims_more, "by how dense it is nobody can tell"
    assert compare(far_too_many, other, Counts(None, 100)).claims_more
    assert not compare(DELIVERED, other, Counts(None, 100)).claims_more


def counted(read: int, written: int) -> Other:
    return Other(None, counts=Counts(read, written))


def test_counts_are_wrong_where_two_others_agree() -> None:
    assert judge(DELIVERED, [counted(10, 60)]) is None
    wrong = judge(DELIVERED, [counted(10, 60), counted(10, 60)])
    assert wrong is not None
    assert wrong[0] is Judged.WRONG
    right = judge(DELIVERED, [counted(10, 60), counted(10, 100)])
    assert right is not None
    assert right[0] is Judged.RIGHT
    torn = judge(DELIVERED, [counted(10, 60), counted(10, 30)])
    assert torn is not None
    assert torn[0] is Judged.UNDECIDED


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (Vectors((unit(0),)), Vectors((unit(0.5),))),
        (said(WORDS), said(WORDS[::-1])),
        (picture(10), picture(90)),
    ],
)
def test_two_others_who_agree_decide_about_each_kind(right: Answer, wrong: Answer) -> None:
    assert judge(wrong, [Other(right)]) is None
    found = judge(wrong, [Other(right), Other(right)])
    assert found is not None
    assert found[0] is Judged.WRONG
    found = judge(right, [Other(wrong), Other(right)])
    assert found is not None
    assert found[0] is Judged.RIGHT

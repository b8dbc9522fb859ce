import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.answer_counting import (
    Count,
    EventCount,
    NoCount,
    WholeCount,
    count_of,
    usage_of,
)
from neurogrid_marketplace.json_outline import JsonOutline
from neurogrid_marketplace.units import MAX_UNITS, NOTHING_SERVED, Units
from neurogrid_node.use.tally import Tally

CHAT = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": 'a "quoted" [word]'}}],
    "usage": {
        "prompt_tokens": 21,
        "completion_tokens": 7,
        "total_tokens": 28,
        "prompt_tokens_details": {"cached_tokens": 16},
    },
}
COUNTED = Units(input_tokens=5, cached_input_tokens=16, output_tokens=7, requests=1)


def counted(count: Count, *pieces: bytes) -> Units:
    for piece in pieces:
        count.feed(piece)
    count.end()
    return count.units


def event(value: Any, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(value)}{end}".encode()


def delta(text: str | None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, **more}], "usage": None}


@given(st.lists(st.integers(1, 400), max_size=8))
def test_a_whole_answer_counts_by_its_usage_however_it_is_cut(cuts: list[int]) -> None:
    data, pieces = json.dumps(CHAT).encode(), []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    assert counted(WholeCount(), *pieces, data) == COUNTED


@given(st.integers(1, 50))
def test_a_stream_counts_by_the_usage_of_its_last_event(size: int) -> None:
    said = [delta(""), delta("one"), delta("two three"), delta(None, finish_reason="stop")]
    last = {"choices": [], "usage": CHAT["usage"]}
    data = b"".join(map(event, [*said, last])) + b"data: [DONE]\n\n"
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert counted(EventCount(), *pieces) == COUNTED


def test_a_stream_that_breaks_off_counts_a_token_for_each_event_that_had_text() -> None:
    count = EventCount()
    count.feed(event(delta("")) + b": still here\n\n" + event(delta("one"), "\r\n\r\n"))
    assert count.units == Units(output_tokens=1, requests=1)
    count.feed(event({"choices": [{"text": "two"}]}) + event(delta(None, finish_reason="stop")))
    assert count.units == Units(output_tokens=2, requests=1)
    # Of an event that has not ended, nothing counts.
    count.feed(event(delta("three"), end=""))
    assert count.units == Units(output_tokens=2, requests=1)


def test_an_event_too_long_to_be_read_is_a_token() -> None:
    assert counted(EventCount(), event(delta("a" * 300_000)), event(delta("b"))) == Units(
        output_tokens=2, requests=1
    )


def test_pictures_sound_and_embeddings_count_without_being_held() -> None:
    pictures = {"created": 1, "data": [{"b64_json": "A" * 2_000_000}, {"b64_json": "B"}]}
    count = WholeCount()
    assert counted(count, json.dumps(pictures).encode()) == Units(images=2, requests=1)
    numbers = {
        "data": [{"embedding": [0.125] * 1536, "index": index} for index in range(64)],
        "usage": {"prompt_tokens": 640, "total_tokens": 640},
    }
    assert counted(WholeCount(), json.dumps(numbers).encode()) == Units(
        input_tokens=640, requests=1
    )
    speech = {"text": "so", "usage": {"type": "duration", "seconds": 2.5004}}
    assert counted(WholeCount(), json.dumps(speech).encode()) == Units(audio_ms=2501, requests=1)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": True},
        {"prompt_tokens": "many", "completion_tokens": None, "prompt_tokens_details": 7},
        {"seconds": float("nan")},
        {"seconds": []},
        [],
        "usage",
    ],
)
def test_a_server_that_says_nonsense_has_said_nothing(usage: Any) -> None:
    assert usage_of({"usage": usage}) == NOTHING_SERVED


def test_no_server_counts_beyond_what_there_is() -> None:
    said = {"prompt_tokens": 10**30, "completion_tokens": 1e300, "seconds": float("inf")}
    most = usage_of({"usage": said})
    assert (most.input_tokens, most.output_tokens, most.audio_ms) == (MAX_UNITS,) * 3
    cached = {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}
    assert usage_of({"usage": cached}) == Units(cached_input_tokens=3)


@given(st.binary(max_size=300))
def test_no_bytes_break_an_outline_or_a_count(data: bytes) -> None:
    outline = JsonOutline()
    outline.feed(data)
    outline.value()
    assert counted(WholeCount(), data).requests == 1
    assert counted(EventCount(), b"data:" + data + b"\n").requests == 1


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=12,
    )
)
def test_the_outline_of_a_document_is_one_however_deep_it_is(value: Any) -> None:
    outline = JsonOutline()
    outline.feed(json.dumps({"all": value, "usage": {"prompt_tokens": 4}}).encode())
    assert usage_of(outline.value()) == Units(input_tokens=4)


@pytest.mark.parametrize(
    ("content_type", "encoding", "kind"),
    [
        ("application/json", "", WholeCount),
        ("Application/JSON; charset=utf-8", "identity", WholeCount),
        ("text/event-stream; charset=utf-8", "", EventCount),
        ("application/json", "gzip", NoCount),
        ("audio/mpeg", "", NoCount),
    ],
)
def test_what_an_answer_is_says_how_it_counts(
    content_type: str, encoding: str, kind: type[Count]
) -> None:
    assert isinstance(count_of(content_type, encoding), kind)


def test_a_tally_has_what_is_over_and_what_is_under_way() -> None:
    tally = Tally(Units(output_tokens=10))
    one, other = tally.begin(), tally.begin()
    tally.passed(one, Units(output_tokens=3, requests=1))
    tally.passed(other, Units(output_tokens=2, requests=1))
    tally.passed(one, Units(input_tokens=8, output_tokens=4, requests=1))
    assert (tally.at_work, tally.units) == (2, Units(8, 0, 16, 0, 0, 2))
    assert tally.with_more(one, Units(8, 0, 9, 0, 0, 1)) == Units(8, 0, 21, 0, 0, 2)
    tally.end(one)
    assert (tally.at_work, tally.units) == (1, Units(8, 0, 16, 0, 0, 2))


def test_a_tally_takes_a_servers_last_word_also_where_it_is_less() -> None:
    tally = Tally(Units(output_tokens=10))
    one, other = tally.begin(), tally.begin()
    tally.passed(other, Units(output_tokens=2, requests=1))
    tally.passed(one, Units(output_tokens=5, requests=1))
    tally.passed(one, Units(input_tokens=7, output_tokens=4, requests=1))
    assert tally.units == Units(7, 0, 16, 0, 0, 2)
    assert tally.with_more(one, Units(output_tokens=1)) == Units(0, 0, 13, 0, 0, 1)

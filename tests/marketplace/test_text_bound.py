"""What the text of an answer lets it cost."""

from typing import Any

import pytest

from neurogrid_marketplace.text_bound import Asked, TextBound
from neurogrid_marketplace.units import Units

MARKS = 16


def bound(*values: Any, asked: Asked | None = None) -> TextBound:
    made = TextBound(asked or Asked(body_bytes=100))
    for value in values:
        made.feed(value)
    return made


def piece(text: str, index: int = 0) -> Any:
    return {"choices": [{"index": index, "delta": {"content": text}}]}


def test_no_more_tokens_are_billed_than_bytes_were_delivered() -> None:
    claimed = Units(input_tokens=10, output_tokens=5000, requests=1)
    assert bound(piece("to be "), piece("or not")).most(claimed) == Units(
        input_tokens=10, output_tokens=12 + MARKS, requests=1
    )


def test_what_the_text_allows_stays_as_the_server_counted_it() -> None:
    claimed = Units(input_tokens=10, cached_input_tokens=3, output_tokens=12, images=2, requests=1)
    assert bound(piece("to be or not")).most(claimed) == claimed


@pytest.mark.parametrize(
    ("value", "text_bytes"),
    [
        ({"choices": [{"text": "äö"}]}, 4),
        ({"choices": [{"message": {"content": "abc", "reasoning_content": "defg"}}]}, 7),
        ({"choices": [{"delta": {"refusal": "no"}}]}, 2),
        (
            {
                "choices": [
                    {"delta": {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}
                ]
            },
            3,
        ),
        ({"choices": [{"delta": {"content": ["no text"], "tool_calls": "x"}}, "none"]}, 0),
        ({"choices": {"text": "abc"}}, 0),
        ({"id": "abc", "model": "def", "choices": []}, 0),
        ({"choices": [{"text": "\ud800"}]}, 3),
    ],
)
def test_text_is_what_a_client_reads(value: Any, text_bytes: int) -> None:
    assert bound(value).text_bytes == text_bytes


def test_each_text_and_each_call_has_its_marks() -> None:
    much = Units(output_tokens=10_000)
    assert bound(piece(""), piece("", 1)).most(much).output_tokens == 2 * MARKS
    call = {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}}]}
    # The pieces of one call are one call.
    assert bound(call, call).most(much).output_tokens == MARKS + 48 + 2


def test_a_stop_sequence_that_was_cut_off_was_written() -> None:
    asked = Asked(body_bytes=100, stop_bytes=9)
    assert (
        bound(piece("ab"), asked=asked).most(Units(output_tokens=99)).output_tokens == 2 + 9 + MARKS
    )


def test_no_more_is_read_than_was_sent_and_a_template_adds() -> None:
    claimed = Units(input_tokens=50_000, cached_input_tokens=7)
    assert bound(asked=Asked(body_bytes=100)).most(claimed) == Units(input_tokens=1124)
    claimed = Units(input_tokens=124, cached_input_tokens=50_000)
    assert bound(asked=Asked(body_bytes=100)).most(claimed) == Units(
        input_tokens=124, cached_input_tokens=1000
    )


def test_a_picture_is_read_as_many_tokens_as_its_server_says() -> None:
    claimed = Units(input_tokens=50_000)
    assert bound(asked=Asked(body_bytes=100, is_text=False)).most(claimed) == claimed

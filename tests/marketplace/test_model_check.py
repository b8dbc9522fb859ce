"""What two answers of one model say of each other."""

from dataclasses import replace
from typing import Any

import pytest

from neurogrid_marketplace.model_check import (
    Comparison,
    Judged,
    Other,
    Text,
    compare,
    is_drawn,
    judge,
)
from neurogrid_marketplace.model_reply import Reply, Token, reply_of

WORDS = tuple(f"w{number} " for number in range(20))
TEXT = "".join(WORDS)
RIGHT = Reply(TEXT, "length", (), 5, 20)


def told(drift: float = 0.0, words: tuple[str, ...] = WORDS, chance: float = -1.0) -> Reply:
    tokens = tuple(Token(word, chance + drift) for word in words)
    return replace(RIGHT, text="".join(words), tokens=tokens)


def test_a_stream_and_a_whole_answer_are_read_alike() -> None:
    whole = {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "to be", "reasoning_content": "hm "},
                "logprobs": {"content": [{"token": "to", "logprob": -0.5, "bytes": [1]}]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }
    stream: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {"reasoning_content": "hm "}}]},
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {"content": "to "},
                    "logprobs": {"content": [{"token": "to", "logprob": -0.5}]},
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
        },
        {"choices": [{"index": 0, "delta": {"content": "be"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
    ]
    assert reply_of([whole]) == reply_of(stream)
    assert reply_of([whole]) == Reply("hm to be", "stop", (Token("to", -0.5),), 7, 3, 18)


def test_calls_of_tools_are_text_but_for_their_ids() -> None:
    def answer(call_id: str) -> Any:
        call = {"id": call_id, "function": {"name": "find", "arguments": '{"x":1}'}}
        return {"choices": [{"message": {"content": None, "tool_calls": [call]}}]}

    assert reply_of([answer("call_1")]) == reply_of([answer("call_2")])
    assert reply_of([answer("call_1")]).text == 'find{"x":1}'


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"choices": "x"},
        {"choices": [3]},
        {"choices": [{"index": 1, "text": "another one"}]},
        {"choices": [{"logprobs": {"content": [3, {"token": "a", "logprob": "b"}]}}]},
        {"choices": [{"logprobs": {"tokens": ["a"], "token_logprobs": [None]}}]},
        {"choices": [{"logprobs": {"tokens": "a", "token_logprobs": {}}}]},
        {"choices": [{"logprobs": {"content": [{"token": "a", "logprob": float("nan")}]}}]},
        {"choices": [{"text": 3, "finish_reason": ["x"]}], "usage": {"prompt_tokens": "x"}},
    ],
)
def test_what_is_no_answer_is_empty(value: Any) -> None:
    assert reply_of([value]) == Reply()


def test_completions_tell_their_tokens_in_two_lists() -> None:
    value = {
        "choices": [{"text": "ab", "logprobs": {"tokens": ["a", "b"], "token_logprobs": [-1, -2]}}]
    }
    assert reply_of([value]).tokens == (Token("a", -1.0), Token("b", -2.0))


def test_the_same_text_speaks_for_it() -> None:
    assert compare(RIGHT, RIGHT) == Comparison(Text.SAME, len(TEXT))
    assert not compare(RIGHT, RIGHT).speaks_against


def test_a_text_that_parts_says_where() -> None:
    other = replace(RIGHT, text="w0 w1 x", output_tokens=3)
    assert compare(other, RIGHT) == Comparison(Text.DIVERGED, 6)
    assert compare(other, RIGHT).speaks_against
    # Longer than the model writes it is another text, too.
    assert compare(replace(RIGHT, text=TEXT + "more"), RIGHT).text is Text.DIVERGED


def test_a_text_that_ends_where_the_model_goes_on_is_shorter() -> None:
    cut = replace(RIGHT, text=TEXT[:30], output_tokens=10)
    assert compare(cut, RIGHT) == Comparison(Text.SHORTER, 30)
    assert compare(replace(RIGHT, text="", output_tokens=0), RIGHT).is_shorter


@pytest.mark.parametrize(("drift", "is_far"), [(0.01, False), (0.04, False), (0.06, True)])
def test_tokens_are_as_likely_as_the_model_finds_them(drift: float, is_far: bool) -> None:
    seen = compare(told(drift), told())
    assert (seen.told, seen.is_far) == (20, is_far)
    assert seen.drift_nats == pytest.approx(drift)


def test_texts_that_part_where_two_tokens_are_as_likely_are_honest() -> None:
    other = (*WORDS[:12], *("x " for _ in range(8)))
    seen = compare(told(words=other), told())
    assert (seen.text, seen.told) == (Text.DIVERGED, 12)
    assert not seen.speaks_against
    # But not where both found theirs nearly certain.
    assert compare(told(words=other, chance=-0.1), told(chance=-0.1)).is_far


def test_a_few_tokens_say_nothing_of_likelihood_so_the_texts_decide() -> None:
    other = (*WORDS[:5], *("x " for _ in range(8)))
    seen = compare(told(words=other), told())
    assert (seen.told, seen.has_diverged) == (0, True)


@pytest.mark.parametrize(
    ("read", "written", "claims_more"),
    [(5, 22, False), (5, 23, True), (7, 20, False), (8, 20, True), (5, 1, False)],
)
def test_one_text_has_one_count(read: int, written: int, claims_more: bool) -> None:
    claimed = replace(RIGHT, input_tokens=read, output_tokens=written)
    assert compare(claimed, RIGHT).claims_more is claims_more


def test_texts_that_differ_are_counted_as_densely() -> None:
    long = Reply("a" * 100 + "b" * 100, "length", (), 5, 50)
    other = Reply("a" * 100 + "c" * 100, "length", (), 5, 50)
    assert not compare(replace(long, output_tokens=80), other).claims_more
    assert compare(replace(long, output_tokens=84), other).claims_more
    short = Reply("abc", "stop", (), 5, 1)
    assert not compare(replace(long, output_tokens=5000), short).claims_more, "too little to tell"


def test_a_server_that_says_no_usage_shows_nobody_wrong() -> None:
    silent = replace(RIGHT, input_tokens=0, output_tokens=0)
    assert not compare(RIGHT, silent).speaks_against


OTHER = replace(RIGHT, text="w0 other words")
THIRD = replace(RIGHT, text="w0 w1 third ones")


def test_who_agrees_needs_no_third() -> None:
    assert judge(RIGHT, [Other(RIGHT)]) == (Judged.RIGHT, compare(RIGHT, RIGHT))


def test_who_differs_is_wrong_once_two_others_agree() -> None:
    assert judge(OTHER, [Other(RIGHT)]) is None
    assert judge(OTHER, [Other(RIGHT), Other(RIGHT)]) == (Judged.WRONG, compare(OTHER, RIGHT))


def test_a_wrong_reference_harms_nobody() -> None:
    found = judge(RIGHT, [Other(OTHER), Other(RIGHT)])
    assert found == (Judged.RIGHT, compare(RIGHT, RIGHT))


def test_where_all_differ_nobody_is_wrong() -> None:
    found = judge(OTHER, [Other(RIGHT), Other(THIRD)])
    assert found is not None
    assert found[0] is Judged.UNDECIDED


def test_one_whom_the_operator_trusts_is_enough() -> None:
    found = judge(OTHER, [Other(RIGHT, is_trusted=True)])
    assert found == (Judged.WRONG, compare(OTHER, RIGHT))
    found = judge(OTHER, [Other(THIRD), Other(RIGHT, is_trusted=True)])
    assert found == (Judged.WRONG, compare(OTHER, RIGHT))


def test_the_lot_is_as_frequent_as_it_says_and_nobody_elses() -> None:
    ids = [f"req_{number}" for number in range(20_000)]
    mine = {each for each in ids if is_drawn(b"mine", each, 50)}
    theirs = {each for each in ids if is_drawn(b"theirs", each, 50)}
    assert 900 <= len(mine) <= 1100
    assert len(mine & theirs) < 100, "as often as by chance"
    assert not any(is_drawn(b"mine", each, 0) for each in ids)
    assert all(is_drawn(b"mine", each, 1000) for each in ids)

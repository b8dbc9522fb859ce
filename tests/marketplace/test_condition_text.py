import json
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace.attributes import NODE, TASK, Vocabulary
from neurogrid_marketplace.canonical import canonical_bytes
from neurogrid_marketplace.condition_checks import checked
from neurogrid_marketplace.condition_text import (
    MAX_TEXT_CHARS,
    ConditionError,
    read_conditions,
    write_conditions,
)
from neurogrid_marketplace.conditions import (
    MAX_ALTERNATIVES,
    MAX_CLAUSES,
    Clause,
    Condition,
    Operator,
)
from neurogrid_marketplace.fields import decode, plain

from .market import demand
from .terms import clauses, complaint, where

F = TypeVar("F")

EXAMPLE = (
    'gpu.model ~ "RTX 4090" and gpu.memory >= 24GB and (region = eu-west or region = eu-north) '
    "and score >= 0.8 and stake >= 100.00USDC and price.hour <= 0.90USDC"
)


def test_what_is_read_is_integers_in_base_units() -> None:
    read = where("gpu.memory >= 24GB and price.hour <= 0.90USDC and score > 0.5")
    assert [clause.alternatives[0].values for clause in read] == [
        (24_000_000_000,),
        (900_000,),
        (500,),
    ]


def test_the_example_is_written_as_it_was_read() -> None:
    assert write_conditions(where(EXAMPLE), NODE) == EXAMPLE


@given(clauses())
@settings(max_examples=40)
def test_every_condition_is_written_and_read_back(wanted: tuple[Clause, ...]) -> None:
    assert read_conditions(write_conditions(wanted, NODE), NODE) == wanted


@given(clauses())
@settings(max_examples=40)
def test_every_condition_travels_and_is_the_same(wanted: tuple[Clause, ...]) -> None:
    sent = demand(where=wanted)
    arrived = decode(type(sent), json.loads(canonical_bytes(plain(sent))))
    assert arrived == sent
    assert checked(arrived.where, NODE) == wanted
    assert arrived.hash() == sent.hash()


@given(st.text(max_size=200))
def test_a_hostile_text_gets_conditions_or_a_clear_error(text: str) -> None:
    _judge(text)


_PIECES = st.sampled_from(
    [
        *NODE.names,
        *(f" {operator.value} " for operator in Operator),
        *(" and ", " or ", "(", ")", ",", '"', "\\", "24GB", "1h", "0.5", "eu", " ", "9" * 20),
        *("\0", "gpu", "not", "é"),
    ]
)


@given(st.lists(_PIECES, max_size=60).map("".join))
def test_so_does_a_text_made_of_the_language_itself(text: str) -> None:
    _judge(text)


def _judge(text: str) -> None:
    _judge_as(text, NODE)
    _judge_as(text, TASK)


def _judge_as(text: str, vocabulary: Vocabulary[F]) -> None:
    try:
        read = read_conditions(text, vocabulary)
    except ConditionError as error:
        refusal = error
    else:
        assert read_conditions(write_conditions(read, vocabulary), vocabulary) == read
        assert checked(read, vocabulary) == read
        return
    assert 0 <= refusal.position <= len(text)
    assert len(str(refusal)) < 600


def test_and_binds_tighter_than_or() -> None:
    plain_text = where("region = a or region = b and ram > 1GB")
    assert plain_text == where("region = a or (region = b and ram > 1GB)")
    assert write_conditions(plain_text, NODE) == (
        "(region = a or region = b) and (region = a or ram > 1GB)"
    )


def test_a_clause_that_another_implies_is_dropped() -> None:
    assert where("region = a and (region = a or ram > 1GB)") == where("region = a")


def test_a_list_is_sorted_and_a_list_of_one_is_a_comparison() -> None:
    assert where("region in (b, a, b)") == where("region in (a, b)")
    assert where("region in (a)") == where("region = a")
    assert where("region not in (a)") == where("region != a")


def test_a_unit_may_stand_apart_and_keywords_in_capitals() -> None:
    assert where("ram >= 24 GB AND disk >= 1 TB") == where("ram >= 24GB and disk >= 1TB")


def test_quotes_hold_anything_that_can_be_printed() -> None:
    (clause,) = where(r'gpu.model = "a \"b\" \\ (c) and"')
    assert clause.alternatives == (Condition("gpu.model", Operator.EQUAL, ('a "b" \\ (c) and',)),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu.memry >= 24GB", "at character 1: there is no attribute 'gpu.memry'; did you mean gpu.mem"),
        ("region = eu and memory > 1GB", "at character 17: there is no attribute 'memory'; did you mean gpu.memory"),
        ("ram >= 24", "at character 8: ram: '24': a unit is missing; units are B, KB, KiB"),
        ("ram >= 24gb", "'gb' is no unit of it; units are B, KB"),
        ("gpu.count = 2GB", "a number has no unit; write 2"),
        ("ram ~ 3GB", "at character 5: ram is an amount of bytes and does not take '~'; expected ="),
        ("runtime = runsc", "runtime is a set of words and does not take '='; expected has, lacks"),
        ("region == eu", "at character 8: '=='; expected how to compare region: =, !="),
        ("region =", "at character 9: the text ends; expected a word, such as eu-west"),
        ("region = and", "at character 10: 'and'; expected a word"),
        ("region", "at character 7: the text ends; expected how to compare region"),
        ("(region = a", "at character 12: the text ends; expected and, or, or )"),
        ("region = a)", "at character 11: ')'; expected and, or, or the end"),
        ("region in a", "at character 11: 'a'; expected values in parentheses"),
        ('region = "a', "at character 10: a quotation begins and does not end"),
        ("region = a && ram > 1GB", "at character 12: '&' means nothing here"),
        ("score >= 1.2", "score: 1.2 is beyond 1"),
        ("score >= 0.8345", "score: '0.8345' is finer than thousandths can say"),
        ("price.hour < 0.0000001USDC", "is finer than millionths of a USDC can say"),
        ("gpu.driver > 55x", "'55x' is no version, such as 8.9"),
        ("region = a/é", "at character 12: 'é' means nothing here; quote texts"),
        ("gpu.model ~ a or score > 0.5", "gpu.model and score cannot be alternatives"),
        ("(" * 17 + "region = a" + ")" * 17, "more than 16 nested parentheses"),
        ("x" * (MAX_TEXT_CHARS + 1), f"more than {MAX_TEXT_CHARS} characters"),
    ],
)  # fmt: skip
def test_an_error_says_where_and_what_was_expected(text: str, said: str) -> None:
    assert said in complaint(text)


def test_what_would_be_too_much_written_out_is_refused() -> None:
    many = " and ".join(f"region != r{n}" for n in range(MAX_CLAUSES + 1))
    wide = " or ".join(f"region = r{n}" for n in range(MAX_ALTERNATIVES + 1))
    deep = " or ".join(
        "(" + " and ".join(f"region != r{n}x{m}" for m in range(12)) + ")" for n in range(12)
    )
    for text in (many, wide, deep):
        assert "written out, this is more than" in complaint(text)


def test_an_empty_text_has_no_conditions() -> None:
    assert where("") == where(" \n ") == ()

"""What counts as a difference from a document, and what does not."""

import pytest

from conformance.exchanges import Exchange, at
from conformance.shape import differences

_PRINTED = {
    "id": "task_1",
    "count": 3,
    "share": 45.2,
    "done": True,
    "at": "2024-01-01T00:00:00Z",
    "tasks": [{"name": "a", "tags": ["x"]}],
    "output": {},
}
_ANSWER = {
    "id": "other",
    "count": 0,
    "share": 0,
    "done": False,
    "at": "2026-11-29T20:00:00.123Z",
    "tasks": [{"name": "b", "tags": []}, {"name": "c", "tags": ["y", "z"], "more": None}],
    "output": {"anything": 1},
    "more": "than the document has",
}


def test_other_values_of_the_same_types_are_no_difference() -> None:
    assert list(differences(_PRINTED, _ANSWER, {}, ("tasks",))) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": 1}, "id: a whole number, where the document has a text"),
        ({"id": None}, "id: null, where the document has a text"),
        ({"count": 3.5}, "count: a number, where the document has a whole number"),
        ({"count": True}, "count: true or false, where the document has a whole number"),
        ({"share": "45.2"}, "share: a text, where the document has a number"),
        ({"at": "yesterday"}, "at: a text, where the document has a time"),
        ({"at": "2024-01-01T00:00:00"}, "at: a text, where the document has a time"),
        ({"tasks": {}}, "tasks: an object, where the document has a list"),
        ({"tasks": []}, "tasks: is empty, where the document shows what is in it"),
        ({"tasks": [{"name": "a", "tags": "x"}]}, "tasks[].tags: a text, where the document"),
        ({"tasks": [{"tags": []}]}, "tasks[].name: is missing (number 0)"),
        ({"output": []}, "output: a list, where the document has an object"),
        ({"id": "third"}, "id: 'third', where the document knows other, task_1"),
    ],
)
def test_each_other_type_or_word_is_one(change: dict[str, object], words: str) -> None:
    known = {"id": ("other", "task_1")}
    found = list(differences(_PRINTED, {**_ANSWER, **change}, known, ("tasks",)))
    assert any(one.startswith(words) for one in found), found


def test_a_missing_field_is_one() -> None:
    answer = {name: value for name, value in _ANSWER.items() if name != "share"}
    assert list(differences(_PRINTED, answer, {})) == ["share: is missing"]
    assert list(differences(_PRINTED, [], {})) == [
        "the answer: a list, where the document has an object"
    ]


def test_an_object_that_the_document_leaves_open_may_hold_anything() -> None:
    assert Exchange("GET /", answer='{"data": { ... }}').printed == {"data": {}}


def test_what_a_later_request_needs_is_found_by_its_path() -> None:
    answer = {"data": {"tasks": [{"id": "one"}, {"id": 2}]}}
    assert at(answer, "data.tasks[0].id") == "one"
    assert at(answer, "data.tasks[1].id") == "2"
    with pytest.raises(LookupError):
        at(answer, "data.tasks[2].id")

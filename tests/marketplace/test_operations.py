"""What may be asked of an operation, and what it then needs."""

import pytest

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.operations import (
    OPERATIONS,
    Operation,
    memory_bytes,
    whole_parameters,
)


@pytest.mark.parametrize("operation", Operation)
def test_every_operation_works_with_nothing_said(operation: Operation) -> None:
    parameters = whole_parameters(operation, {})
    assert list(parameters) == [each.name for each in OPERATIONS[operation].parameters]
    assert parameters == whole_parameters(operation, parameters)


@pytest.mark.parametrize("operation", Operation)
def test_even_the_largest_fits_a_machine(operation: Operation) -> None:
    largest = {
        each.name: each.choices[-1] if each.choices else each.most
        for each in OPERATIONS[operation].parameters
    }
    assert memory_bytes(operation, whole_parameters(operation, largest)) < 16 * 10**9


def test_what_document_004_prints_is_taken() -> None:
    for given in ({"size": 1000, "iterations": 10}, {"size": 1000}):
        assert whole_parameters(Operation.MATRIX_MULTIPLY, given)["size"] == 1000


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": 0}, "size: is a whole number from 1 to 4096"),
        ({"size": 4097}, "size: is a whole number from 1 to 4096"),
        ({"size": 1.5}, "size: is a whole number"),
        ({"size": True}, "size: is a whole number"),
        ({"size": "1000"}, "size: is a whole number"),
        ({"size": None}, "size: is a whole number"),
        ({"dtype": "int8"}, "dtype: is one of float32, float64"),
        ({"dtype": ["float32"]}, "dtype: is one of float32, float64"),
        ({"iterations": 10**30}, "iterations: is a whole number from 1 to 1000"),
    ],
)
def test_every_parameter_is_bounded(given: dict[str, Json], words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        whole_parameters(Operation.MATRIX_MULTIPLY, given)


def test_an_unknown_parameter_is_answered_with_those_there_are() -> None:
    with pytest.raises(InvalidValue) as caught:
        whole_parameters(Operation.MEMORY_BANDWIDTH, {"sise": 3})
    assert "sise: is not a parameter of memory_bandwidth. There are size: a whole" in str(
        caught.value
    )
    assert "seed" in str(caught.value)


def test_a_matrix_needs_memory_for_its_square() -> None:
    def needed(size: int, dtype: str) -> int:
        given: dict[str, Json] = {"size": size, "dtype": dtype}
        operation = Operation.MATRIX_MULTIPLY
        return memory_bytes(operation, whole_parameters(operation, given))

    assert needed(2000, "float32") - needed(1000, "float32") == 3 * 10**6 * 4 * 6
    assert needed(1000, "float64") > needed(1000, "float32")

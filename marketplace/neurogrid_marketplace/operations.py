"""Operations: computations of ours that a task asks for by name instead of by image and command.

Document 004 names them. Each is deterministic: whoever computes it with the same parameters has the same
checksum, on any machine, because all its arithmetic is exact. So operations can be verified by a quorum.
`images/operations/operation.py` is the program that computes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from .canonical import Json
from .errors import InvalidValue

_MB = 10**6
# Python, numpy and what they load: 60 MB where measured.
_PROGRAM_BYTES = 150 * _MB
# A node says so of itself where jobs reach Apple's MLX. None of ours does.
MLX_RUNTIME = "mlx"
RESULT_FILE = "result.json"
# The program's result is a few hundred bytes.
RESULT_BYTES_MAX = 64 * 1024

Parameters = Mapping[str, int | str]


class Operation(StrEnum):
    """Document 004's words."""

    COMPUTE = "compute"
    MATRIX_MULTIPLY = "matrix_multiply"
    VECTOR_OPERATIONS = "vector_operations"
    MEMORY_BANDWIDTH = "memory_bandwidth"
    MLX_OPERATION = "mlx_operation"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation: a whole number from ``least`` to ``most``, or one of ``choices``."""

    name: str
    meaning: str
    default: int | str
    least: int = 0
    most: int = 0
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return f"a whole number from {self.least} to {self.most}"

    def checked(self, value: Json) -> int | str:
        """The value.

        Raises:
            InvalidValue: it is not allowed.
        """
        if self.choices:
            if isinstance(value, str) and value in self.choices:
                return value
        elif (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.least <= value <= self.most
        ):
            return value
        raise InvalidValue(f"{self.name}: is {self.allowed}")


@dataclass(frozen=True, slots=True)
class OperationTerms:
    """What an operation is.

    Attributes:
        unit: of its throughput.
        bytes_per_element: memory that its arrays take together, for each unit of ``size`` (squared: of a
            matrix) and each byte of an element.
        runtime: what its node has to have beside a container engine; "": nothing.
    """

    operation: Operation
    meaning: str
    parameters: tuple[Parameter, ...]
    unit: str
    bytes_per_element: int
    squared: bool = False
    runtime: str = ""


def _size(meaning: str, default: int, most: int) -> Parameter:
    return Parameter("size", meaning, default, 1, most)


_ITERATIONS = Parameter("iterations", "how often it is repeated", 10, 1, 1000)
_SEED = Parameter("seed", "what its numbers are made from", 0, 0, 2**32 - 1)
_DTYPE = Parameter("dtype", "of its numbers", "float32", choices=("float32", "float64"))
_BYTES_OF_DTYPE = {"float32": 4, "float64": 8, "uint32": 4, "uint64": 8}

OPERATIONS: Mapping[Operation, OperationTerms] = {
    terms.operation: terms
    for terms in (
        OperationTerms(
            Operation.COMPUTE,
            "integer arithmetic over an array: shifts, exclusive ors and multiplications",
            (
                _size("elements of the array", 1_000_000, 50_000_000),
                _ITERATIONS,
                _SEED,
                Parameter("dtype", "of its numbers", "uint64", choices=("uint32", "uint64")),
            ),
            unit="operations/s",
            bytes_per_element=6,
        ),
        OperationTerms(
            Operation.MATRIX_MULTIPLY,
            "the product of two square matrices of small whole numbers",
            (_size("rows and columns of each matrix", 1000, 4096), _ITERATIONS, _SEED, _DTYPE),
            unit="flop/s",
            bytes_per_element=6,
            squared=True,
        ),
        OperationTerms(
            Operation.VECTOR_OPERATIONS,
            "sum, scaled sum and inner product of two vectors of small whole numbers",
            (_size("elements of each vector", 1_000_000, 20_000_000), _ITERATIONS, _SEED, _DTYPE),
            unit="flop/s",
            bytes_per_element=8,
        ),
        OperationTerms(
            Operation.MEMORY_BANDWIDTH,
            "copies between two buffers in memory; each byte is read once and written once",
            (_size("of each buffer, 10^6 bytes", 256, 4096), _ITERATIONS, _SEED),
            unit="bytes/s",
            bytes_per_element=3 * _MB // 8,
        ),
        OperationTerms(
            Operation.MLX_OPERATION,
            "the product of two square matrices by Apple's MLX, on a node whose jobs reach it",
            (_size("rows and columns of each matrix", 1000, 4096), _ITERATIONS, _SEED),
            unit="flop/s",
            bytes_per_element=6,
            squared=True,
            runtime=MLX_RUNTIME,
        ),
    )
}


def whole_parameters(operation: Operation, given: Mapping[str, Json]) -> dict[str, int | str]:
    """All parameters of an operation: those that are given, and the defaults of the others.

    Raises:
        InvalidValue: one is not allowed, or the operation has none of that name; it says which there are.
    """
    known = {parameter.name: parameter for parameter in OPERATIONS[operation].parameters}
    for name in given:
        if name not in known:
            there = "; ".join(f"{one.name}: {one.allowed}" for one in known.values())
            raise InvalidValue(
                f"{name[:64]}: is not a parameter of {operation.value}. There are {there}"
            )
    return {
        name: parameter.checked(given[name]) if name in given else parameter.default
        for name, parameter in known.items()
    }


def memory_bytes(operation: Operation, parameters: Parameters) -> int:
    """How much memory it needs, with these parameters (`whole_parameters`)."""
    terms = OPERATIONS[operation]
    size = int(parameters["size"])
    elements = size * size if terms.squared else size
    # Buffers are counted in bytes, as elements of eight.
    each = _BYTES_OF_DTYPE[str(parameters.get("dtype", "float64"))]
    return _PROGRAM_BYTES + elements * each * terms.bytes_per_element

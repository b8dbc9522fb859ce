"""Compute one operation, check the result, and say how long it took.

    operation.py NAME PARAMETERS [--reproducible]

PARAMETERS is a JSON object with all of them (marketplace/neurogrid_marketplace/operations.py has their
bounds and what they mean). /outputs/result.json gets the result:

    {"operation", "parameters", "device_used", "output": {"checksum", "verified"},
     "measured": {"execution_time_s", "throughput", "throughput_unit", "memory_used_mb"}}

With --reproducible `measured` is left out, so that the file is the same on every machine that computed the
same; what was measured is printed either way. All arithmetic is exact: integers, or floating point numbers
that are whole and so small that no sum is rounded. So neither the order of additions nor the processor
changes the checksum. It exits with 1 where its own check fails: then the machine can't be trusted.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

OUTPUTS = Path("/outputs")
_CHUNK = 1 << 20
_NO_MLX = 3
# Of one operation, each with numbers of its own.
_STREAMS = 8


@dataclass(frozen=True)
class Done:
    """What came of an operation.

    Attributes:
        parts: of the result, as bytes that are the same on every machine.
        verified: whether the check that each operation makes of its own result holds.
        took_s: of the operation alone, without making its numbers and checking them.
        work: how much was done, in units of throughput times seconds.
    """

    parts: Iterator[bytes]
    verified: bool
    took_s: float
    work: float
    unit: str
    device: str = "cpu"


def numbers(seed: int, stream: int, count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Numbers that look random: splitmix64, begun at a place of its own for each seed and stream."""
    place = hashlib.sha256(f"{seed} {stream}".encode()).digest()[:8]
    begin = np.uint64(int.from_bytes(place, "little"))
    made = np.empty(count, np.uint64)
    for start in range(0, count, _CHUNK):
        x = np.arange(start, min(start + _CHUNK, count), dtype=np.uint64)
        x = begin + x * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        made[start : start + _CHUNK] = x ^ (x >> np.uint64(31))
    return made


def small(seed: int, stream: int, count: int, dtype: str) -> np.ndarray[Any, Any]:
    """Whole numbers from -8 to 7 as floating point ones."""
    made = np.empty(count, dtype)
    for start in range(0, count, _CHUNK):
        many = min(_CHUNK, count - start)
        # A stream of its own for each chunk, so that no more than one is there at a time.
        chunk = numbers(seed, stream + _STREAMS * (start // _CHUNK), many)
        made[start : start + many] = (chunk & np.uint64(15)).astype(np.int8) - np.int8(8)
    return made


def _repeated(iterations: int, work: Callable[[], object]) -> float:
    """How long so many repetitions took, seconds."""
    work_s = 0.0
    for done in range(iterations):
        began_s = time.perf_counter()
        work()
        work_s += time.perf_counter() - began_s
        print(f"NEUROGRID_PROGRESS {(done + 1) / iterations:.3f} {done + 1} of {iterations}")
    return work_s


def _whole(array: np.ndarray[Any, Any]) -> Iterator[bytes]:
    flat = array.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        yield flat[start : start + _CHUNK].astype("<i8").tobytes()


def compute(size: int, iterations: int, seed: int, dtype: str) -> Done:
    """Rounds of xorshift and multiplication, by a number that has an inverse, so that it can be undone."""
    kind = np.dtype(dtype).type
    bits = np.dtype(dtype).itemsize * 8
    factor = 0x2545F4914F6CDD1D & (2**bits - 1)
    first = numbers(seed, 0, size).astype(dtype)
    array = first.copy()
    shift, times, back = kind(bits // 2), kind(factor), kind(pow(factor, -1, 2**bits))

    def one_round() -> None:
        nonlocal array
        array ^= array >> shift
        array *= times

    took_s = _repeated(iterations, one_round)
    undone = array.copy()
    for _ in range(iterations):
        undone *= back
        undone ^= undone >> shift
    parts = (array[at : at + _CHUNK].astype("<u8").tobytes() for at in range(0, size, _CHUNK))
    return Done(parts, bool((undone == first).all()), took_s, 3 * size * iterations, "operations/s")


def matrix_multiply(size: int, iterations: int, seed: int, dtype: str) -> Done:
    """Of a sum of 4096 products of at most 64 no digit is lost even in float32."""
    a = small(seed, 0, size * size, dtype).reshape(size, size)
    b = small(seed, 1, size * size, dtype).reshape(size, size)
    product = np.empty((size, size), dtype)
    took_s = _repeated(iterations, lambda: np.matmul(a, b, out=product))
    return Done(
        _whole(product),
        _is_product(a, b, product, seed),
        took_s,
        2 * size**3 * iterations,
        "flop/s",
    )


def _is_product(
    a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], product: np.ndarray[Any, Any], seed: int
) -> bool:
    """Freivalds' check, three times: a wrong product passes each with probability 1/16 at most."""
    size = len(a)
    for stream in (2, 3, 4):
        vector = small(seed, stream, size, "float64")
        # Row by row in float64, which holds every one of these sums.
        through_b = np.array([row.astype("float64") @ vector for row in b])
        expected = np.array([row.astype("float64") @ through_b for row in a])
        if not all(
            row.astype("float64") @ vector == want
            for row, want in zip(product, expected, strict=True)
        ):
            return False
    return True


def vector_operations(size: int, iterations: int, seed: int, dtype: str) -> Done:
    """x + y, 3x + y and the inner product of x and y."""
    x, y = small(seed, 0, size, dtype), small(seed, 1, size, dtype)
    total, scaled = np.empty_like(x), np.empty_like(x)
    three = x.dtype.type(3)
    inner = 0.0

    def once() -> None:
        nonlocal inner
        np.add(x, y, out=total)
        np.multiply(x, three, out=scaled)
        np.add(scaled, y, out=scaled)
        # Products are whole and small; their sum needs more digits than float32 has.
        inner = sum(
            float(np.sum(x[at : at + _CHUNK] * y[at : at + _CHUNK], dtype="float64"))
            for at in range(0, size, _CHUNK)
        )

    took_s = _repeated(iterations, once)
    again = sum(
        int(np.dot(x[at : at + _CHUNK].astype("int64"), y[at : at + _CHUNK].astype("int64")))
        for at in range(0, size, _CHUNK)
    )
    verified = bool((scaled - total == x + x).all()) and inner == again

    def parts() -> Iterator[bytes]:
        yield from _whole(total)
        yield from _whole(scaled)
        yield int(inner).to_bytes(8, "little", signed=True)

    return Done(parts(), verified, took_s, 5 * size * iterations, "flop/s")


def memory_bandwidth(size: int, iterations: int, seed: int) -> Done:
    """Copies 10^6 * ``size`` bytes to and fro."""
    count = size * 10**6 // 8
    first = numbers(seed, 0, count)
    buffers = [first, np.empty_like(first)]

    def copy() -> None:
        np.copyto(buffers[1], buffers[0])
        buffers.reverse()

    took_s = _repeated(iterations, copy)
    # Both hold the same by now; that it is what it was made as says the other one's remaking.
    verified = bool((buffers[0] == buffers[1]).all()) and bool(
        (buffers[0][:_CHUNK] == numbers(seed, 0, min(count, _CHUNK))).all()
    )
    parts = (buffers[0][at : at + _CHUNK].astype("<u8").tobytes() for at in range(0, count, _CHUNK))
    return Done(parts, verified, took_s, 2 * 8 * count * iterations, "bytes/s")


def mlx_operation(size: int, iterations: int, seed: int) -> Done:
    """`matrix_multiply` in float32 by MLX, on the device that MLX chooses."""
    try:
        import mlx.core as mx  # type: ignore[import-not-found]  # only Apple's machines have it
    except ImportError:
        print("this container has no MLX, and nothing stands in for it", file=sys.stderr)
        raise SystemExit(_NO_MLX) from None
    a = small(seed, 0, size * size, "float32").reshape(size, size)
    b = small(seed, 1, size * size, "float32").reshape(size, size)
    first, second = mx.array(a), mx.array(b)
    mx.eval(first, second)
    product = first

    def multiply() -> None:
        nonlocal product
        product = first @ second
        mx.eval(product)

    took_s = _repeated(iterations, multiply)
    result = np.array(product)
    device = "gpu" if "gpu" in str(mx.default_device()).lower() else "cpu"
    verified = _is_product(a, b, result, seed)
    return Done(_whole(result), verified, took_s, 2 * size**3 * iterations, "flop/s", device)


OPERATIONS: dict[str, Callable[..., Done]] = {
    "compute": compute,
    "matrix_multiply": matrix_multiply,
    "vector_operations": vector_operations,
    "memory_bandwidth": memory_bandwidth,
    "mlx_operation": mlx_operation,
}


def _peak_memory_bytes() -> int:
    """Of this program alone: `getrusage` would count the one that started it, if that is larger."""
    status = Path("/proc/self/status").read_text()
    (high_water,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(high_water.split()[1]) * 1024


def run(name: str, parameters: dict[str, Any], *, reproducible: bool) -> dict[str, Any]:
    """The operation's result, as result.json has it; what was measured is printed."""
    done = OPERATIONS[name](**parameters)
    digest = hashlib.sha256()
    for part in done.parts:
        digest.update(part)
    measured = {
        "execution_time_s": round(done.took_s, 6),
        "throughput": round(done.work / max(done.took_s, 1e-9), 1),
        "throughput_unit": done.unit,
        "memory_used_mb": round(_peak_memory_bytes() / 10**6, 1),
    }
    print(json.dumps({"device_used": done.device, "measured": measured}))
    return {
        "operation": name,
        "parameters": parameters,
        "device_used": done.device,
        "output": {"checksum": f"sha256:{digest.hexdigest()}", "verified": done.verified},
        **({} if reproducible else {"measured": measured}),
    }


def main() -> None:
    """See the module."""
    name, parameters, *options = sys.argv[1:]
    result = run(name, json.loads(parameters), reproducible="--reproducible" in options)
    (OUTPUTS / "result.json").write_text(json.dumps(result, sort_keys=True) + "\n")
    if not result["output"]["verified"]:
        print(
            "the result does not pass its own check: this machine computes wrongly", file=sys.stderr
        )
        raise SystemExit(1)


if __name__ == "__main__":
    main()

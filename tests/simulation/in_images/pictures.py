"""In model-terrain: the picture of each seed below a count by each kind of server that is named; as JSON, base64 of PNG files."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from models.terrain.landscapes import Landscapes

Array = Any
# Between two steps so much of the noise comes back.
_AGAIN = (20.0,)
_SIDE = 128


def stepping(denoise: Callable[..., Array], steps: int) -> Callable[..., Array]:
    """A consistency model in several steps: its picture is blurred by less noise each time, and cleared again."""

    def clear(noisy: Array, sigmas: Array, labels: Array) -> Array:
        made = denoise(noisy, sigmas, labels)
        lot = np.random.default_rng(int(np.abs(noisy).sum()))
        for sigma in _AGAIN[: steps - 1]:
            again = made + sigma * lot.standard_normal(made.shape, dtype=np.float32)
            made = denoise(again, np.full_like(sigmas, sigma), labels)
        return made

    return clear


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of a protocol buffer, and what is behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message that have a length: number, begin, end."""
    at = begin
    while at < end:
        key, at = varint(data, at)
        if key & 7 == 2:
            size, at = varint(data, at)
            yield key >> 3, at, at + size
            at += size
        elif key & 7 == 0:
            _, at = varint(data, at)
        else:
            at += 8 if key & 7 == 1 else 4


def coarse(data: bytes, bits: int) -> bytes:
    """An ONNX file whose weights have so few bits, in groups of 32 with a scale of their own."""
    most, out, count = 2 ** (bits - 1) - 1, bytearray(data), 0
    # ModelProto.graph, GraphProto.initializer, TensorProto.raw_data.
    graphs = [each for each in fields(data, 0, len(data)) if each[0] == 7]
    tensors = [each for graph in graphs for each in fields(data, *graph[1:]) if each[0] == 5]
    for _, begin, end in tensors:
        for name, start, stop in fields(data, begin, end):
            # Biases and scales are small, and stay as they are in each format.
            if name != 9 or stop - start < 16_384 or (stop - start) % 4:
                continue
            each = np.frombuffer(data, "<f4", (stop - start) // 4, start)
            groups = np.resize(each, (-(-each.size // 32), 32))
            step = np.abs(groups).max(1, keepdims=True) / most
            near = np.round(groups / np.where(step == 0, 1, step)) * step
            out[start:stop] = near.ravel()[: each.size].astype("<f4").tobytes()
            count += 1
    assert count, "there are weights"
    return bytes(out)


def server(kind: str) -> Landscapes:
    """What draws as this kind of server does."""
    drawing = Landscapes()
    model = drawing._model
    if kind == "other kernels":
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 2
        model.session = onnxruntime.InferenceSession(
            model.model_path, options, providers=["CPUExecutionProvider"]
        )
    elif kind.endswith("bits"):
        weights = coarse(Path(model.model_path).read_bytes(), int(kind.split()[0]))
        model.session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    elif kind.endswith("steps"):
        model._denoise = stepping(model._denoise, int(kind.split()[0]))
    return drawing


def drawn(drawing: Landscapes, kind: str, seed: int) -> bytes:
    """A picture, as a file."""
    if kind == "a smaller picture":
        made = drawing.picture(_SIDE // 2, _SIDE // 2, seed).resize((_SIDE * 2, _SIDE * 2))
    else:
        made = drawing.picture(_SIDE * 2, _SIDE * 2, seed)
    file = io.BytesIO()
    made.convert("RGB").save(file, format="png")
    return file.getvalue()


def main() -> None:
    """See the module."""
    count = int(sys.argv[1])
    said = {}
    for kind in sys.argv[2:]:
        drawing = server(kind)
        said[kind] = [
            base64.b64encode(drawn(drawing, kind, seed)).decode() for seed in range(count)
        ]
    print(json.dumps(said))


if __name__ == "__main__":
    main()

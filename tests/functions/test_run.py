"""A function taken along, opened and called as in a job, in a Python of its own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurogrid.errors import ConfigurationError
from neurogrid.functions.code import write_code
from neurogrid.functions.values import decode, encode


def _run(folder: Path, function: Callable[..., Any], *args: Any) -> Path:
    inputs, outputs, made = folder / "inputs", folder / "outputs", folder / "made"
    outputs.mkdir()
    made.mkdir()
    for path, file in write_code(function, made).items():
        (inputs / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, inputs / path)
    (inputs / "call.json").write_bytes(encode((list(args), {})))
    # Isolated and without site-packages: cloudpickle is the one that was sent.
    command = [sys.executable, "-I", "-S", str(inputs / "run.py"), str(outputs)]
    subprocess.run(command, check=True, capture_output=True)
    return outputs


def test_a_closure_answers_what_it_would_here(tmp_path: Path) -> None:
    factor = 3
    outputs = _run(tmp_path, lambda x, y: (x * factor, {y}), 14, b"k")
    assert decode((outputs / "value.json").read_bytes()) == (42, {b"k"})


def test_what_it_raises_is_told_by_name_with_its_traceback(tmp_path: Path) -> None:
    outputs = _run(tmp_path, lambda x: 1 / x, 0)
    told = json.loads((outputs / "error.json").read_bytes())
    assert (told["type"], told["message"]) == ("ZeroDivisionError", "division by zero")
    assert "lambda" in told["traceback"]


def test_a_result_without_a_form_is_an_error_that_names_its_type(tmp_path: Path) -> None:
    outputs = _run(tmp_path, lambda: object())
    told = json.loads((outputs / "error.json").read_bytes())
    assert told["type"] == "NoForm"
    assert "builtins.object" in told["message"]


def test_what_can_not_be_taken_along_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file, pytest.raises(ConfigurationError, match="inside"):
        write_code(lambda: file, tmp_path)

"""Tasks from CSV: one a row, a field of the task in each column.

    id,docker_image,command,env.PROMPT,resource_requirements.cpu_cores,priority
    a,my/image:1,"[""python"", ""run.py""]",Write a haiku,2,high

or, of a model's,

    id,prompt,model,temperature,max_tokens
    a,Write a haiku,bard-1m,0.7,60

An empty cell leaves its field out. Text is taken as it is, all else is JSON; a command may also be written as
in a shell. Pure: bytes in, rows out.
"""

import csv
import io
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from neurogrid_marketplace.canonical import Json

CSV_BYTES_MAX = 64 * 1024 * 1024
ROWS_MAX = 100_000
_COLUMNS_MAX = 256
_CELL_CHARS_MAX = 128 * 1024

# Fields of a task whose cell is the value itself. Of those below a point: `env`.
_TEXTS = frozenset(
    {
        "name",
        "type",
        "docker_image",
        "constraints",
        "deadline",
        "deadline_policy",
        "priority_reason",
        "max_price_per_hour",
        "max_total_cost",
        "kind",
        "model",
        "operation",
        "prompt",
        "negative_prompt",
    }
)
_NESTED = frozenset({"env", "resource_requirements", "parameters"})
# What files of prompts call these.
_SHORT = {
    "temperature": "parameters.temperature",
    "max_tokens": "parameters.max_tokens",
    "maxTokens": "parameters.max_tokens",
}
_NESTED_TEXTS = frozenset({"gpu_model", "gpu_compute_capability"})


class CsvRefused(Exception):
    """The file is no table of tasks; the message names the line."""


@dataclass(frozen=True, slots=True)
class CsvTask:
    """A row.

    Attributes:
        line: where it ends in the file.
        client_id: "" where it has none.
        request: its fields, as JSON would have them.
    """

    line: int
    client_id: str
    request: dict[str, Json]


def read_tasks(file: BinaryIO, known: Iterable[str]) -> Iterator[CsvTask]:
    """The rows of a file, as they are read.

    Args:
        file: UTF-8, with or without a byte order mark.
        known: the fields that a task has.

    Raises:
        CsvRefused: a column or a cell is wrong, or there are too many rows, or none.
    """
    fields = frozenset(known)
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    try:
        header = next(reader, None)
        columns = _columns(header or [], fields)
        count = 0
        for cells in reader:
            if not any(cells):
                continue
            count += 1
            if count > ROWS_MAX:
                raise CsvRefused(f"line {reader.line_num}: more than {ROWS_MAX} rows")
            if len(cells) > len(columns):
                raise CsvRefused(
                    f"line {reader.line_num}: {len(cells)} cells, but the header has {len(columns)}"
                )
            yield _task(reader.line_num, columns, cells)
        if not count:
            raise CsvRefused("the file has no rows below its header")
    except UnicodeDecodeError as error:
        # It is decoded in pieces, so no line can be named.
        raise CsvRefused("this is not UTF-8; save the file as CSV UTF-8") from error
    except csv.Error as error:
        raise CsvRefused(f"line {reader.line_num}: {error}") from error
    finally:
        # The file is its opener's.
        text.detach()


def _columns(header: list[str], fields: frozenset[str]) -> list[str]:
    columns = [_SHORT.get(name.strip(), name.strip()) for name in header]
    if not columns or len(columns) > _COLUMNS_MAX:
        raise CsvRefused(f"line 1: the header names 1 to {_COLUMNS_MAX} columns")
    # As spreadsheets write CSV where a comma is the decimal point.
    for mark, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(columns) == 1 and mark in columns[0]:
            raise CsvRefused(
                f"line 1: there are {called} between the columns; separate them by commas"
            )
    for index, name in enumerate(columns):
        head, point, rest = name.partition(".")
        nested = bool(point) and head in _NESTED and bool(rest)
        if name != "id" and not nested and (point or name not in fields):
            raise CsvRefused(
                f"line 1: {name[:80]!r} is no field of a task. Name a column env.NAME to hand it to the "
                "job as an environment variable"
            )
        if name in columns[:index]:
            raise CsvRefused(f"line 1: there are two columns {name[:80]!r}")
    return columns


def _task(line: int, columns: list[str], cells: list[str]) -> CsvTask:
    request: dict[str, Json] = {}
    client_id = ""
    for name, cell in zip(columns, cells, strict=False):
        if cell == "":
            continue
        if len(cell) > _CELL_CHARS_MAX:
            raise CsvRefused(f"line {line}, {name}: more than {_CELL_CHARS_MAX} characters")
        head, point, rest = name.partition(".")
        if name == "id":
            client_id = cell
        elif point:
            below = request.setdefault(head, {})
            if not isinstance(below, dict):
                raise CsvRefused(f"line {line}: has {head} and {name}; write it in one of them")
            is_text = head == "env" or rest in _NESTED_TEXTS
            below[rest] = cell if is_text else _json(line, name, cell)
        else:
            request[name] = _value(line, name, cell)
    return CsvTask(line, client_id, request)


def _value(line: int, name: str, cell: str) -> Json:
    if name in _TEXTS:
        return cell
    if name == "priority" and not cell.strip().isdecimal():
        return cell
    if name == "command" and not cell.lstrip().startswith("["):
        try:
            return list(shlex.split(cell))
        except ValueError as error:
            raise CsvRefused(f"line {line}, command: {error}") from error
    return _json(line, name, cell)


def _json(line: int, name: str, cell: str) -> Json:
    try:
        value: Json = msgspec.json.decode(cell)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CsvRefused(
            f'line {line}, {name}: {cell[:80]!r} is not JSON, such as 2, true or ["a", "b"]'
        ) from error
    return value

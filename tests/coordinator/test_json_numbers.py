"""Whole numbers that are written 5.0: they are whole numbers, in every document."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from coordinator.api_world import OPERATION, TASK, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.api.json_numbers import decoded


class _Body(Struct):
    count: int
    share: float = 0.0
    rest: Any = None


_decode = partial(msgspec.json.decode, type=_Body)


@given(
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.integers(-(2**63), 2**63 - 1),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    ),
)
def test_a_whole_number_is_the_same_however_it_is_written(
    count: int, share: float, rest: object
) -> None:
    text = msgspec.json.encode({"count": float(count), "share": share, "rest": rest})
    assert decoded(text, _decode) == _Body(count, share, rest)


@pytest.mark.parametrize("text", ["5.5", '"5"', "1e300", "true", "-5.000001", "[5.0]"])
def test_what_is_no_whole_number_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"Expected `int`.*at `\$\.count`"):
        decoded(b'{"count": %s}' % text.encode(), _decode)


@on_asyncio
async def test_every_document_takes_them_and_refuses_a_half(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        model = {"kind": "model", "model": "talker", "prompt": "Once"}
        runner = {"prompt": "Once", "model": "talker"}
        bolt = {"model": "talker", "input": "Once"}
        operation = {"kind": "operation", **OPERATION}

        def schedule(number: float) -> dict[str, Any]:
            batch = {"tasks": [TASK], "retries": number}
            return {"name": "one", "schedule": "0 0 1 1 *", "batch": batch}

        asked: list[tuple[str, Callable[[float], dict[str, Any]], str]] = [
            ("/api/v1/tasks", lambda n: TASK | {"timeout_seconds": n}, "timeout_seconds"),
            ("/api/v1/tasks", lambda n: model | {"parameters": {"max_tokens": n}}, "max_tokens"),
            (
                "/api/v1/tasks",
                lambda n: operation | {"parameters": {"size": 10, "iterations": n}},
                "iterations",
            ),
            ("/api/v1/batches", lambda n: {"tasks": [TASK], "max_concurrency": n}, "concurrency"),
            ("/api/v1/scheduled-tasks", schedule, "retries"),
            ("/runner/api/v1/tasks", lambda n: runner | {"maxTokens": n}, "maxTokens"),
            (
                "/runner/api/v1/batches",
                lambda n: {"name": "one", "tasks": [runner], "config": {"maxConcurrency": n}},
                "maxConcurrency",
            ),
            ("/api/task", lambda n: bolt | {"priority": n}, "priority"),
            (
                "/api/tasks/batch",
                lambda n: {"tasks": [bolt], "batchOptions": {"maxConcurrent": n}},
                "maxConcurrent",
            ),
        ]
        for path, body, field in asked:
            taken = await alice.http.post(path, json=body(3.0))
            assert taken.is_success, f"{path}: {taken.text}"
            refused = await alice.http.post(path, json=body(3.5))
            assert refused.status_code in (400, 422), f"{path}: {refused.text}"
            assert field in refused.text, refused.text
        # Tasks of a batch are looked at when their turn comes, and a half is refused at once.
        batch = {"tasks": [TASK | {"timeout_seconds": 60.0}]}
        assert (await alice.http.post("/api/v1/batches", json=batch)).is_success
        batch = {"tasks": [TASK | {"timeout_seconds": 60.5}]}
        answer = await alice.http.post("/api/v1/batches", json=batch)
        assert "timeout_seconds" in check_error(answer, 422, "INVALID_REQUEST")

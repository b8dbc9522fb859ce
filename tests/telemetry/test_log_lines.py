import json
import logging
import sys

import pytest

from neurogrid_telemetry.about import about
from neurogrid_telemetry.log_lines import (
    MESSAGE_CHARS_MAX,
    TRACEBACK_CHARS_MAX,
    JsonLines,
    TextLines,
    named,
)


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("neurogrid_node.test").makeRecord(
        "neurogrid_node.test", logging.INFO, __file__, 1, message, arguments, None, extra=extra
    )
    made.created = 1_700_000_000.0625
    return made


def as_json(made: logging.LogRecord) -> dict[str, object]:
    line = JsonLines().format(made)
    assert "\n" not in line
    found: dict[str, object] = json.loads(line)
    return found


def test_a_json_line_says_what_it_is_about() -> None:
    with about(task="task_1", peer="12D3Koo", lease="lease_7"):
        line = as_json(record("%s -> %s", "a", "b", **named("lease_phase", before="a", phase="b")))
    assert line == {
        "time": "2023-11-14T22:13:20.062Z",
        "level": "info",
        "logger": "neurogrid_node.test",
        "event": "lease_phase",
        "message": "a -> b",
        "task": "task_1",
        "peer": "12D3Koo",
        "lease": "lease_7",
        "before": "a",
        "phase": "b",
    }
    assert "lease" not in as_json(record("later"))


def test_within_a_lease_another_one_is_not_about_the_first() -> None:
    with about(lease="lease_7", peer="12D3Koo"):
        with about(task="task_2"):
            line = as_json(record("released"))
        assert as_json(record("goes on"))["lease"] == "lease_7"
    assert (line["task"], "lease" in line, "peer" in line) == ("task_2", False, False)


def test_a_text_line_says_once_what_it_is_about() -> None:
    with about(lease="lease_7", peer="12D3Koo"):
        line = TextLines().format(record("lease %s: a -> b", "lease_7"))
    assert line.endswith("INFO    neurogrid_node.test: lease lease_7: a -> b [peer=12D3Koo]")


@pytest.mark.parametrize(
    "said", ["x\n2026 ERROR all is lost", "\x1b[2J", "\u2028", "a\rb", "\ud800"]
)
def test_what_a_peer_says_ends_no_line(said: str) -> None:
    with about(lease=said):
        for line in (
            TextLines().format(record("it says %s", said)),
            JsonLines().format(record("it says %s", said)),
        ):
            assert line.isprintable()
            assert line.encode()


def test_a_traceback_is_indented_in_text_and_a_field_in_json() -> None:
    try:
        raise ValueError("no\n2026-01-01 INFO    neurogrid_node: all is well")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    first, *rest = TextLines().format(made).split("\n")
    assert first.endswith("failed")
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "ValueError" in str(as_json(made)["traceback"])


def test_nothing_is_longer_than_it_may_be() -> None:
    message = as_json(record("%s", "x" * 1_000_000))["message"]
    assert len(str(message)) < MESSAGE_CHARS_MAX + 100
    try:
        raise ValueError("y" * 1_000_000)
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    assert len(TextLines().format(made)) < TRACEBACK_CHARS_MAX + 10_000


def test_a_line_says_how_many_before_it_were_left_out() -> None:
    made = record("again")
    made.left_out = 12
    assert as_json(made)["left_out"] == 12
    assert TextLines().format(made).endswith("again [left_out=12]")

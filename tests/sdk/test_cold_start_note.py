"""What commands say of a model that has no warm replica; the line on a terminal is drawn with it."""

import os
import pty
import subprocess
import sys

import httpx
import pytest

from neurogrid import Client
from neurogrid.cli.model_calls import start_note

_MODEL = {
    "id": "small",
    "name": "Small",
    "type": "text",
    "category": "chat",
    "pricing": {"unit": "token", "per_unit": 0.1, "max_per_hour": "1", "currency": "USDC"},
}


def replicas(ready: int, expected_start_ms: int | None) -> dict[str, object]:
    counts = {"ready": ready, "starting": 1 - ready, "most": 2, "waiting": 0, "at_work": 0}
    return {**counts, "expected_start_ms": expected_start_ms, "problem": ""}


@pytest.mark.parametrize(
    ("found", "note"),
    [
        (replicas(0, 7_200), " (none is warm: begins in about 8 s)"),
        (replicas(1, 0), ""),
        (replicas(0, None), ""),
        (None, ""),
    ],
)
def test_a_model_that_is_not_warm_says_how_soon_it_begins(
    found: dict[str, object] | None, note: str
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"success": True, "data": {**_MODEL, "replicas": found}})

    with Client("ng_key", "http://world", transport=httpx.MockTransport(answer)) as client:
        assert start_note(client, "small") == note


def test_nobody_is_troubled_where_that_can_not_be_had() -> None:
    error = {"code": "MODEL_UNAVAILABLE", "message": "there is no model 'nobody'"}

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json={"success": False, "error": error})

    with Client("ng_key", "http://world", transport=httpx.MockTransport(answer)) as client:
        assert start_note(client, "nobody") == ""


def test_the_line_on_a_terminal_has_the_note_and_is_gone_at_the_end() -> None:
    script = (
        "import threading\n"
        "from neurogrid.cli import waiting\n"
        "drawn, draw = threading.Event(), waiting.click.echo\n"
        "def echo(text, **options):\n"
        "    draw(text, **options)\n"
        "    if 'soon' in text: drawn.set()\n"
        "waiting.click.echo = echo\n"
        "with waiting.waiting('small', note=lambda: ' (soon)'):\n"
        "    assert drawn.wait(60)\n"
    )
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", script], stderr=theirs, check=True, timeout=120)
        line = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "small 0 s (soon)" in line or "small 1 s (soon)" in line, line
    assert line.endswith("\r\x1b[K")

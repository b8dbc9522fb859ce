"""docs/webhooks.md: its samples verify what is sent, and its list of events is the code's."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurogrid_coordinator.event_kinds import EVENT_KINDS
from neurogrid_coordinator.store.webhooks import Signature
from neurogrid_coordinator.webhooks.message import signature

PAGE = (Path(__file__).parent.parent.parent / "docs/webhooks.md").read_text()
DOCUMENT_000 = """
const crypto = require('crypto');

function verifyWebhook(payload, signature, secret) {
    const hmac = crypto.createHmac('sha256', secret);
    const expectedSignature = hmac.update(payload).digest('hex');
    return crypto.timingSafeEqual(
        Buffer.from(signature),
        Buffer.from(expectedSignature)
    );
}
"""
SECRET = "your-webhook-secret"
BODY = '{"id": "delivery_1", "data": {"name": "Größe"}}'


def sample(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def python_says(*arguments: Any) -> bool:
    names: dict[str, Any] = {}
    exec(sample("python"), names)  # noqa: S102 - what the page prints
    verify: Callable[..., bool] = names["verify_webhook"]
    return verify(arguments[0].encode(), *arguments[1:])


def node_says(code: str, *arguments: Any) -> bool:
    called = ", ".join(json.dumps(argument) for argument in arguments)
    done = subprocess.run(
        ["node", "-e", f"{code}\nconsole.log(verifyWebhook({called}))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {"true": True, "false": False}[done.stdout.strip()]


@pytest.mark.parametrize("says", [python_says, lambda *a: node_says(sample("javascript"), *a)])
def test_the_samples_take_what_is_sent_and_nothing_else(says: Callable[..., bool]) -> None:
    now_s = int(time.time())
    stamp, old = str(now_s), str(now_s - 1000)
    good = signature(SECRET, Signature.TIMESTAMPED, now_s, BODY)
    assert says(BODY, stamp, good, SECRET)
    assert not says(BODY + " ", stamp, good, SECRET)
    assert not says(BODY, str(now_s + 1), good, SECRET)
    assert not says(BODY, stamp, good, "another-webhook-secret")
    assert not says(BODY, stamp, "0" * 64, SECRET)
    assert not says(BODY, stamp, "short", SECRET)
    assert not says(BODY, old, signature(SECRET, Signature.TIMESTAMPED, int(old), BODY), SECRET)


def test_what_document_000_prints_takes_the_other_form() -> None:
    plain = signature(SECRET, Signature.PAYLOAD, 0, BODY)
    assert node_says(DOCUMENT_000, BODY, plain, SECRET)
    assert not node_says(DOCUMENT_000, BODY + "x", plain, SECRET)


def test_the_page_lists_the_events_that_there_are() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert rows == EVENT_KINDS

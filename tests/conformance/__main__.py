"""Ask a coordinator everything that the documents print, and say in what it differs.

    python -m conformance --url http://127.0.0.1:8080 [--key ng_...] [--document 004] [--webhook-url https://...]
        [--recording speech.wav] [--image python:3.12-slim]

or ``make conformance URL=... KEY=...``. It submits tasks, which the key's account pays for (and for document 004, which
knows no keys, the account that the coordinator's operator names), and makes an API key, an application and a webhook of the account, which nobody
uses. Exit status 1: something differs.
"""

import argparse
import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

import httpx

from conformance.asking import Outcome, ask_all
from conformance.documents import DOCUMENTS
from conformance.recording import SILENCE
from conformance.sdk_calls import SdkDocument, ask_calls


async def _run(
    url: str, key: str, numbers: list[str], webhook_url: str, recording: bytes, image: str
) -> int:
    differ = 0
    sockets_url = "ws" + url.removeprefix("http")
    async with httpx.AsyncClient(base_url=url) as client:
        for document in DOCUMENTS:
            if numbers and document.number not in numbers:
                continue
            print(f"document {document.number}, {document.name}")
            if isinstance(document, SdkDocument):
                for outcome in ask_calls(document, url, key, image):
                    differ += _told(outcome)
                continue
            asked = ask_all(document, client, key, sockets_url, webhook_url, recording)
            async with aclosing(asked) as outcomes:
                async for outcome in outcomes:
                    differ += _told(outcome)
    print("all as printed" if not differ else f"{differ} differ")
    return 1 if differ else 0


def _told(outcome: Outcome) -> bool:
    """Print it; whether it differs."""
    if outcome.awaits:
        print(f"  -    {outcome.asked}: awaits {outcome.awaits}")
        return False
    print(f"  {'DIFF' if outcome.differences else 'ok  '} {outcome.asked}")
    for one in outcome.differences:
        print(f"         {one}")
    return bool(outcome.differences)


def main() -> None:
    """See the module."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--url", required=True)
    options.add_argument("--key", default="")
    options.add_argument("--document", action="append", default=[])
    options.add_argument("--webhook-url", default="https://example.com/webhook")
    options.add_argument("--recording", type=Path)
    options.add_argument("--image", default="neurogrid/job:1")
    given = options.parse_args()
    recording = given.recording.read_bytes() if given.recording else SILENCE
    url = given.url.rstrip("/")
    sys.exit(
        asyncio.run(_run(url, given.key, given.document, given.webhook_url, recording, given.image))
    )


if __name__ == "__main__":
    main()

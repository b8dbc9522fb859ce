"""What the servers of the other models share: turns, transcripts."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from models.serving.errors import Refused
from models.serving.transcripts import (
    Segment,
    Transcript,
    Word,
    as_json,
    as_srt,
    as_text,
    as_verbose_json,
    as_vtt,
)
from models.serving.turns import Abandoned, Gone, Turns

_SAID = Transcript(
    "en",
    3661.001,
    [
        Segment(0, 1.5, " Hello,\n\n<b> --> you.", words=[Word(" Hello,", 0, 0.71234)]),
        Segment(3599.9996, 3661, " Bye.", tokens=[7], avg_logprob=-0.123456),
    ],
)


def test_what_is_said_has_each_form_of_openais() -> None:
    assert as_json(_SAID) == {
        "text": "Hello,\n\n<b> --> you. Bye.",
        "usage": {"type": "duration", "seconds": 3662},
    }
    assert as_text(Transcript("en", 1, [])) == "\n"
    assert as_srt(_SAID) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello, <b> -> you.\n\n"
        "2\n01:00:00,000 --> 01:01:01,000\nBye.\n\n"
    )
    # Neither a cue nor a tag of its own comes out of what somebody says.
    assert as_vtt(_SAID) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello, &lt;b&gt; -&gt; you.\n\n"
        "01:00:00.000 --> 01:01:01.000\nBye.\n\n"
    )
    whole = as_verbose_json(_SAID, 0.2, ["word", "segment"])
    assert (whole["duration"], whole["language"]) == (3661.0, "en")
    assert whole["words"] == [{"word": "Hello,", "start": 0, "end": 0.71}]
    assert [each["avg_logprob"] for each in whole["segments"]] == [0, -0.1235]
    assert "segments" not in as_verbose_json(_SAID, 0, ["word"])


def test_each_has_a_turn_or_is_told_that_there_is_none() -> None:
    begun, finish = threading.Semaphore(0), threading.Event()
    stopped: list[str] = []

    def compute(gone: Gone) -> str:
        begun.release()
        try:
            while not finish.wait(0.001):
                gone.check()
        except Abandoned:
            stopped.append("abandoned")
            raise
        return "done"

    async def request(turns: Turns, work: Any = compute) -> str:
        async with turns.place():
            made: str = await turns.computed(work)
            return made

    async def story() -> None:
        turns = Turns(1, 1, 60)
        first = asyncio.create_task(request(turns))
        await asyncio.to_thread(begun.acquire)
        second = asyncio.create_task(request(turns))
        await asyncio.sleep(0)
        assert turns.load().waiting == 1
        with pytest.raises(Refused, match="Ask again"):
            await request(turns)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert stopped == ["abandoned"]
        await asyncio.to_thread(begun.acquire)
        finish.set()
        assert await second == "done"
        assert turns.load().running == 0
        finish.clear()
        with pytest.raises(Refused) as slow:
            await request(Turns(1, 0, 0.01))
        assert slow.value.status == 504
        assert stopped == ["abandoned"] * 2

    asyncio.run(story())

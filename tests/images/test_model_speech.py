"""The image that writes speech down hears people, and no words where there are none."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.recording import SPOKEN
from images.model_image import ask
from models.serving.transcripts import Listening
from models.speech.hearing import spoken
from models.speech.transcribe import answer
from neurogrid_marketplace.model_requests import ModelInput


@pytest.mark.engine
def test_a_reader_is_understood(tmp_path: Path) -> None:
    assert SPOKEN.exists(), "make build/debian/pocketsphinx-testdata"
    asked = ModelInput(file="speech.wav")
    files = {"speech.wav": SPOKEN.read_bytes()}
    heard = ask(tmp_path, "whisper-tiny-en", asked, {"language": "en"}, files)
    assert "John Dashwood had then leisure to consider" in heard.text
    assert (heard.language, heard.text) == ("en", " ".join(each.text for each in heard.segments))
    assert heard.confidence is not None
    assert 0.5 < heard.confidence <= 1
    assert 6 < heard.segments[-1].end < 8


def test_what_goes_round_in_a_circle_was_no_speech() -> None:
    def heard(text: str, likely: float, packed: float) -> SimpleNamespace:
        return SimpleNamespace(
            start=0.0,
            end=2.0,
            text=text,
            tokens=[1],
            avg_logprob=math.log(likely),
            compression_ratio=packed,
            no_speech_prob=0.1,
            words=None,
        )

    def said(*pieces: SimpleNamespace) -> dict[str, Any]:
        return answer(Listening("en", 4, spoken(pieces, lambda: None)).whole())

    assert said(heard(" Hello.", 0.75, 1.1), heard(" beep" * 90, 0.99, 30)) == {
        "text": "Hello.",
        "language": "en",
        "confidence": 0.75,
        "segments": [{"start": 0.0, "end": 2.0, "text": "Hello."}],
    }
    silence = said()
    assert (silence["text"], silence["segments"], silence["confidence"]) == ("", [], None)

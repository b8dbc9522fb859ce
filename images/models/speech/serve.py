"""Serve Whisper as OpenAI's API has it: ``python3 -m models.speech.serve`` (docs/models.md)."""

from __future__ import annotations

from models.serving.audio import AudioServing
from models.serving.frame import Options, serve
from models.speech.hearing import Whisper, weights

NAME = "whisper-tiny-en"


def loaded(options: Options) -> AudioServing:
    """The model with its weights."""
    return AudioServing(options, Whisper(weights()))


if __name__ == "__main__":
    # Each recording takes a core of its own, and a catalogue's entry has one.
    serve(loaded, name=NAME, concurrency=1, waiting_max=8)

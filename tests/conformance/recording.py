"""Recordings for models that transcribe: silence where nobody gives a better one, and speech where there is some."""

import io
import wave
from pathlib import Path

# "And Mr. John Dashwood had then leisure to consider ...", as a reader of LibriVox says it. No recording of
# somebody else's is in this repository: make build/debian/pocketsphinx-testdata unpacks Debian's.
SPOKEN = (
    Path(__file__).parents[2]
    / "build/debian/pocketsphinx-testdata/usr/share/pocketsphinx/test/data/librivox"
    / "sense_and_sensibility_01_austen_64kb-0870.wav"
)
_HERTZ = 16_000


def chapter(pause_s: float = 3) -> bytes:
    """All that this reader says, one sentence after the other, as a WAV file: more than Whisper hears at once."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        for number, path in enumerate(sorted(SPOKEN.parent.glob("*.wav"))):
            with wave.open(str(path), "rb") as sentence:
                if not number:
                    sound.setparams(sentence.getparams())
                sound.writeframes(sentence.readframes(sentence.getnframes()))
            sound.writeframes(bytes(2 * round(pause_s * _HERTZ)))
    return file.getvalue()


def silence(length_s: float) -> bytes:
    """A WAV file in which nobody says anything."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_HERTZ)
        sound.writeframes(bytes(2 * round(length_s * _HERTZ)))
    return file.getvalue()


SILENCE = silence(1)

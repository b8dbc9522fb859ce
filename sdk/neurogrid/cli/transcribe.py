"""``neurogrid transcribe``: have a model write down what is said."""

import sys
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import click

from ..models.catalogue import Transcription
from .billing import FILE, write_to
from .model_calls import heard, listened, start_note
from .model_options import listen, say, say_what_it_took
from .output import print_json
from .session import Session, with_session
from .subtitles import srt, vtt
from .waiting import given_up_by_ctrl_c, waiting

_Form = Literal["text", "srt", "vtt"]
_FORMS: tuple[_Form, ...] = ("text", "srt", "vtt")


@click.command()
@click.argument("model")
@click.argument("recording", type=click.File("rb"))
@click.option("--language", help="As en; found out, if left out.")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMS),
    default="text",
    show_default=True,
    help="srt and vtt: subtitles, with times.",
)
@click.option("-o", "--output", "file", type=FILE, default="-", help="A file; - for here.")
@with_session
def transcribe(
    session: Session,
    *,
    model: str,
    recording: BinaryIO,
    language: str | None,
    form: _Form,
    file: Path,
) -> None:
    """Have MODEL write down what is said in RECORDING, a file of at most 25 MiB, or - for standard input.

    \b
    neurogrid transcribe whisper-tiny-en speech.mp3
    neurogrid transcribe whisper-tiny-en talk.mp3 --format srt -o talk.srt

    What was said alone goes to standard output, as it is heard, where its form is text; what it took and cost to standard
    error. `neurogrid models list --type audio` names the models. Ctrl-C cancels.
    """
    if recording.isatty():
        raise click.UsageError("RECORDING: - is for a pipe; name a file")
    if form == "text" and str(file) == "-" and not session.as_json:
        with given_up_by_ctrl_c(model):
            coming = listened(session.client, model, recording, language)
            answer = listen(session.client, coming, model, say, quiet=False)
        if not answer.transcription.endswith("\n"):
            say("\n")
    else:
        # Whole, so that it is begun anew where its node fails in the middle.
        note = partial(start_note, session.client, model)
        with given_up_by_ctrl_c(model), waiting(model, note=note, quiet=session.as_json):
            answer = heard(session.client, model, recording, language)
        text = _formed(answer, form)
        if str(file) != "-":
            write_to(file, [text.encode()])
        elif not session.as_json:
            say(text)
            sys.stdout.flush()
    if session.as_json:
        print_json(answer)
        return
    sure = "" if answer.confidence is None else f"{answer.confidence:.0%} sure"
    say_what_it_took(answer, answer.language, sure)


def _formed(answer: Transcription, form: _Form) -> str:
    if form == "srt":
        return srt(answer.segments)
    if form == "vtt":
        return vtt(answer.segments)
    return f"{answer.transcription.rstrip()}\n"

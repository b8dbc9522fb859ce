"""``neurogrid generate``: have a model write a text."""

from pathlib import Path
from typing import Any

import click

from .billing import FILE, write_to
from .model_calls import written
from .model_options import (
    asking_of,
    listen,
    prompt_of,
    say,
    say_what_it_took,
    text_options,
)
from .output import print_json
from .session import Session, with_session
from .waiting import given_up_by_ctrl_c


@click.command()
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--system", default="", metavar="TEXT", help="What the model is told beforehand.")
@click.option("-o", "--output", "file", type=FILE, default="-", help="A file; - for here.")
@text_options
@with_session
def generate(
    session: Session, *, model: str, prompt: str | None, system: str, file: Path, **options: Any
) -> None:
    """Have MODEL write a text that goes on from PROMPT, or answers it.

    \b
    neurogrid generate bard-1m "To be, or not" --max-tokens 60
    neurogrid generate bard-1m < prompt.txt -o answer.txt

    The text alone goes to standard output; what it took and cost to standard error. Without PROMPT, or with -, it
    is read from standard input. `neurogrid models list --type text` names the models. Ctrl-C cancels.
    """
    whole = prompt_of(prompt)
    messages = (
        [{"role": "system", "content": system}, {"role": "user", "content": whole}]
        if system
        else []
    )
    taken: list[str] = []
    is_shown = str(file) == "-" and not session.as_json
    with given_up_by_ctrl_c(model):
        coming = written(
            session.client, asking_of(model, options), "" if messages else whole, messages
        )
        take = say if is_shown else taken.append
        answer = listen(session.client, coming, model, take, quiet=session.as_json)
    if str(file) != "-":
        write_to(file, (piece.encode() for piece in taken))
    elif is_shown and not answer.generated_text.endswith("\n"):
        say("\n")
    if session.as_json:
        print_json(answer)
        return
    used = answer.usage.completion_tokens
    cut = "cut off by --max-tokens" if answer.finish_reason == "length" else ""
    say_what_it_took(answer, f"{used} tokens", cut)

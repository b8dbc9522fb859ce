"""``neurogrid image``: have a model make an image."""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import click

from .billing import FILE
from .model_calls import drawn, start_note
from .model_options import SEED, asking_of, placed, prompt_of, say_what_it_took
from .output import print_json
from .session import Session, with_session
from .waiting import given_up_by_ctrl_c, waiting


@click.command()
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("-o", "--output", "file", type=FILE, required=True, help="A file; - for here.")
@click.option("--negative", default="", metavar="TEXT", help="What shall not be in it.")
@click.option("--width", type=int, help="Pixels [512].")
@click.option("--height", type=int, help="Pixels [512].")
@click.option("--steps", type=int, help="More of them take longer [20].")
@click.option("--guidance", "guidance_scale", type=float, help="How close to the prompt [7.5].")
@SEED
@placed
@with_session
def image(
    session: Session, *, model: str, prompt: str | None, file: Path, negative: str, **options: Any
) -> None:
    """Have MODEL make an image of what PROMPT says, and write it to a file.

    \b
    neurogrid image terrain-11m "A landscape" --width 256 --height 256 -o land.png

    Without PROMPT, or with -, it is read from standard input. `neurogrid models list --type image` names the models.
    It is an output of the task that stands on standard error, and checked against its hash. Ctrl-C cancels.
    """
    is_here = str(file) == "-"
    if is_here and (session.as_json or sys.stdout.isatty()):
        raise click.UsageError("-o -: an image is for a file or a pipe, without --json")
    asking, whole = asking_of(model, options), prompt_of(prompt)
    # Beside nothing of the user's: what is only passed on leaves no file.
    with tempfile.TemporaryDirectory(prefix="neurogrid-") as folder:
        target = Path(folder) / "image" if is_here else file
        note = partial(start_note, session.client, model)
        with given_up_by_ctrl_c(model), waiting(model, note=note, quiet=session.as_json):
            answer = drawn(session.client, asking, whole, negative, target)
        if is_here:
            sys.stdout.buffer.write(target.read_bytes())
            sys.stdout.flush()
    if session.as_json:
        print_json({"file": str(file), "answer": answer})
        return
    if not is_here:
        click.echo(f"{file}", err=True)
    used = answer.parameters_used
    seed = "" if used.seed is None else f"seed {used.seed}"
    say_what_it_took(answer, f"{used.width} x {used.height}", f"{used.steps} steps", seed)

"""What the commands that ask models have in common: their options, the prompt, and how a text is printed."""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from neurogrid_marketplace.model_requests import PROMPT_CHARS_MAX

from ..errors import ConnectionFailed
from ..models.catalogue import ModelAnswer
from .model_calls import Asking, start_note
from .output import usdc
from .waiting import waiting

if TYPE_CHECKING:
    from ..client import Client

F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A", bound=ModelAnswer)

# A character has four bytes at most.
_PROMPT_BYTES_MAX = 4 * PROMPT_CHARS_MAX
_KEPT = "\n\t"

_TEXT = (
    click.option("--max-tokens", type=int, help="The longest answer [128]."),
    click.option("--temperature", type=float, help="0: always the likeliest token [0.7]."),
    click.option("--top-p", type=float, help="Only tokens that come to this together [1]."),
    click.option(
        "--stop",
        "stop_sequences",
        multiple=True,
        metavar="TEXT",
        help="Ends before it. Repeatable.",
    ),
)
SEED = click.option("--seed", type=int, help="The same request and seed is the same answer.")
_PLACE = (
    click.option("--region", help="Only on nodes there."),
    click.option(
        "--min-score", "score_min", type=click.FloatRange(0, 100), default=0, help="Of the node."
    ),
)


def placed(function: F) -> F:
    """Add the options that choose nodes."""
    return _with(function, *_PLACE)


def text_options(function: F) -> F:
    """Add the options of a text."""
    return _with(function, *_TEXT, SEED, *_PLACE)


def asking_of(model: str, options: Mapping[str, Any]) -> Asking:
    """How a model is asked, by the options of its command; what was not given is left out."""
    given = dict(options)
    region, score_min = given.pop("region"), given.pop("score_min")
    parameters = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value not in (None, ())
    }
    return Asking(model, parameters, region, score_min)


def prompt_of(argument: str | None) -> str:
    """The prompt that was typed, or what comes on standard input, where that is ``-`` or left out.

    Raises:
        click.UsageError: there is none, it is no text, or it is longer than any model takes.
    """
    if argument not in (None, "-"):
        return argument or ""
    if argument is None and sys.stdin.isatty():
        raise click.UsageError("say a PROMPT, or - to type it, and Ctrl-D at its end")
    data = sys.stdin.buffer.read(_PROMPT_BYTES_MAX + 1)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        if len(data) <= _PROMPT_BYTES_MAX:
            raise click.UsageError("what comes on standard input is no UTF-8 text") from error
        text = ""
    if len(data) > _PROMPT_BYTES_MAX or len(text) > PROMPT_CHARS_MAX:
        raise click.UsageError(f"a prompt has at most {PROMPT_CHARS_MAX:,} characters")
    if not text.strip():
        raise click.UsageError("there is nothing on standard input")
    return text


def listen(
    client: "Client",
    coming: Iterable[str | A],
    model: str,
    take: Callable[[str], None],
    *,
    quiet: bool,
) -> A:
    """Take each piece of a text as it comes, with a line on a terminal until the first; the answer.

    Raises:
        ConnectionFailed: it broke off.
    """
    with waiting(model, note=lambda: start_note(client, model), quiet=quiet) as end:
        for each in coming:
            end()
            if not isinstance(each, str):
                return each
            take(each)
    raise ConnectionFailed(f"the answer of {model} broke off")


def say(text: str) -> None:
    """Print a piece of what a model wrote, at once. What it wrote must not steer a terminal."""
    click.echo(harmless(text) if sys.stdout.isatty() else text, nl=False)


def harmless(text: str) -> str:
    """Without control characters, but with its lines."""
    return "".join(
        each if each.isprintable() or each in _KEPT else "\N{REPLACEMENT CHARACTER}"
        for each in text
    )


def say_what_it_took(answer: ModelAnswer, *parts: str) -> None:
    """On standard error: what came of it, how long it took, what it cost, and where the rest is."""
    told = [*parts, f"{answer.execution_time:.3g} s", usdc(answer.cost_usdc), answer.id]
    click.secho(f"{answer.model}: {', '.join(each for each in told if each)}", dim=True, err=True)


def _with(function: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        function = option(function)
    return function

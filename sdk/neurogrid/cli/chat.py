"""``neurogrid chat``: talk with a model, turn by turn."""

import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import click
import msgspec

from ..errors import AuthenticationError, InvalidRequestError, NeuroGridError, NotFoundError
from ..models.catalogue import TextAnswer
from .conversation import Conversation
from .failures import print_failure
from .model_calls import Asking, written
from .model_options import asking_of, listen, say, text_options
from .output import usdc
from .session import Session, with_session

_NEW, _QUIT = "/new", "/quit"
# More than any prompt has, together with its end of line.
_LINE_CHARS_MAX = 1024 * 1024
# What another question would hear too.
_LASTING = (AuthenticationError, InvalidRequestError, NotFoundError)


@click.command()
@click.argument("model")
@click.option("--system", default="", metavar="TEXT", help="What the model is told beforehand.")
@text_options
@with_session
def chat(session: Session, *, model: str, system: str, **options: Any) -> None:
    """Talk with MODEL: a line is a question, and what was said before goes along.

    A line that ends with \\ goes on in the next one. /new begins anew; /quit or Ctrl-D ends it. Ctrl-C cancels the
    answer that is waited for or comes. Each question is paid by itself. From a pipe each line is a question, and the
    first that is not answered ends it; with --json each answer is a line of JSON.
    """
    is_person = sys.stdin.isatty() and not session.as_json
    talk = _Talk(session, asking_of(model, options), Conversation(system))
    if is_person:
        words = f"{model}: {_NEW} begins anew, {_QUIT} or Ctrl-D ends it, Ctrl-C cancels an answer."
        click.secho(words, dim=True, err=True)
    try:
        for question in questions(_typed() if is_person else _piped()):
            if question == _QUIT:
                break
            if question == _NEW:
                talk.conversation.forget()
            elif is_person:
                _ask_patiently(talk, question)
            else:
                talk.ask(question)
    finally:
        talk.say_what_it_took()


class _Talk:
    """A conversation, and what it has taken."""

    def __init__(self, session: Session, asking: Asking, conversation: Conversation) -> None:
        self.conversation = conversation
        self._session = session
        self._asking = asking
        self._answers = 0
        self._tokens = 0
        self._cost = Decimal(0)
        self._forgotten = 0

    def ask(self, question: str) -> None:
        """Ask, and print the answer.

        Raises:
            click.UsageError: the question is too long.
            NeuroGridError: there is no answer.
        """
        try:
            messages = self.conversation.asked(question)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        if self.conversation.forgotten > self._forgotten:
            self._forgotten = self.conversation.forgotten
            click.secho("The oldest of what was said has no room any more.", dim=True, err=True)
        as_json = self._session.as_json
        pieces: list[str] = []

        def take(piece: str) -> None:
            pieces.append(piece)
            if not as_json:
                say(piece)

        coming = written(self._session.client, self._asking, messages=messages)
        client = self._session.client
        answer = listen(client, coming, self._asking.model, take, quiet=as_json)
        if as_json:
            click.echo(msgspec.json.encode(answer))
        elif not "".join(pieces).endswith("\n"):
            say("\n")
        self._count(answer)
        self.conversation.answered(question, answer.generated_text)

    def say_what_it_took(self) -> None:
        """All questions together, on standard error."""
        if self._answers and not self._session.as_json:
            answers = "1 answer" if self._answers == 1 else f"{self._answers} answers"
            words = f"{answers}, {self._tokens} tokens, {usdc(self._cost)}"
            click.secho(words, dim=True, err=True)

    def _count(self, answer: TextAnswer) -> None:
        self._answers += 1
        self._tokens += answer.usage.completion_tokens
        self._cost += answer.cost_usdc


def questions(lines: Iterator[str]) -> Iterator[str]:
    """What is asked: lines, of which one that ends with a backslash goes on in the next; empty ones are none."""
    begun: list[str] = []
    for line in lines:
        goes_on = line.endswith("\\")
        begun.append(line[:-1] if goes_on else line)
        if goes_on:
            continue
        question = "\n".join(begun).strip()
        begun.clear()
        if question:
            yield question
    if question := "\n".join(begun).strip():
        yield question


def _ask_patiently(talk: _Talk, question: str) -> None:
    """A person hears what is wrong, and may go on."""
    try:
        talk.ask(question)
    except KeyboardInterrupt:
        # The coordinator sees the connection close, and who computes is stopped.
        click.secho("\nNot waited for any more; it may be asked again.", dim=True, err=True)
    except _LASTING:
        raise
    except NeuroGridError as error:
        print_failure(error, as_json=False)
    except click.UsageError as error:
        click.echo(error.format_message(), err=True)


def _typed() -> Iterator[str]:
    """Lines of a person, until Ctrl-D; Ctrl-C begins the line anew."""
    with_history = sys.stdout.isatty()
    if with_history:
        # Editing and history, by being there.
        import readline  # noqa: F401
    while True:
        try:
            if with_history:
                line = input("> ")
            else:
                # What is printed goes elsewhere; the prompt does not.
                click.echo("> ", nl=False, err=True)
                line = sys.stdin.readline()
                if not line:
                    break
        except EOFError:
            break
        except KeyboardInterrupt:
            click.echo(err=True)
            continue
        yield line.rstrip("\r\n")
    click.echo(err=True)


def _piped() -> Iterator[str]:
    while line := sys.stdin.readline(_LINE_CHARS_MAX):
        yield line.rstrip("\r\n")

"""``neurogrid generate``, ``chat``, ``image`` and ``transcribe`` against a real api, with a node that answers."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from acceptance.network import until
from coordinator.answering import RESULT, answering
from coordinator.api_world import World
from coordinator.catalogue import CATALOGUE
from coordinator.served import ServedWorld, served_in_thread
from neurogrid import Client
from neurogrid.cli.chat import questions
from neurogrid.cli.conversation import Conversation
from neurogrid.cli.group import neurogrid
from neurogrid.cli.model_options import harmless
from neurogrid.cli.subtitles import srt, vtt
from neurogrid.models.catalogue import TranscriptSegment
from neurogrid_coordinator.services.models import ModelSettings
from neurogrid_marketplace.model_requests import MESSAGES_MAX, PROMPT_CHARS_MAX
from sdk.screens import PATIENCE_S, screen

_HEARD = {
    "text": "Hello there. <Goodbye>",
    "language": "en",
    "confidence": 0.95,
    "segments": [
        {"start": 0.0, "end": 3.25, "text": " Hello there. "},
        {"start": 3661.5, "end": 3662.0, "text": "<Goodbye>"},
    ],
    "execution_time_s": 1.8,
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedWorld]:
    patient = ModelSettings(CATALOGUE, wait_s=PATIENCE_S)
    with served_in_thread(tmp_path / "api", models=patient) as world:
        yield world


def _run(network: Path, *words: str, given: str | bytes = b"") -> Result:
    environment = {"NEUROGRID_NETWORK": str(network)}
    return CliRunner().invoke(neurogrid, words, input=given, env=environment)


@contextmanager
def _node(
    api: ServedWorld, left: object = None, files: dict[str, bytes] | None = None
) -> Iterator[None]:
    """Answers whoever asks a model meanwhile."""
    ended = asyncio.Event()
    ready = threading.Event()

    async def answer(world: World) -> None:
        data = None if left is None else json.dumps(left).encode()
        async with answering(world, data, files):
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: api.run(answer))
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield
    finally:

        async def end(_: World) -> None:
            ended.set()

        api.run(end)
        thread.join(PATIENCE_S)


def test_a_text_goes_to_standard_output_or_a_file(
    api: ServedWorld, network: Path, tmp_path: Path
) -> None:
    with _node(api):
        how = ("--max-tokens", "5", "--stop", "x", "--stop", "y", "--region", "eu-west")
        shown = _run(network, "generate", "gpt-small", "To be", *how)
        assert shown.exit_code == 0, shown.output
        assert shown.stdout == f"{RESULT['text']}\n"
        assert "small: 5 tokens, cut off by --max-tokens, 0.25 s, " in shown.stderr
        assert " USDC, task_" in shown.stderr
        asked = _asked(network, shown.stderr.split()[-1])
        assert (asked["prompt"], asked["parameters"]["max_tokens"]) == ("To be", 5)
        assert asked["parameters"]["stop_sequences"] == ["x", "y"]

        file = tmp_path / "answer.txt"
        system = ("--system", "Be brief.", "-o", str(file), "--json")
        told = json.loads(_run(network, "generate", "small", *system, given="To be\nor not").stdout)
        assert told["generated_text"] == file.read_text() == RESULT["text"]
        assert [each["content"] for each in _asked(network, told["id"])["messages"]] == [
            "Be brief.",
            "To be\nor not",
        ]
    for given_, words, why in [
        (b"", ("small",), "nothing on standard input"),
        (b"\xff", ("small", "-"), "no UTF-8"),
        (b"x" * (PROMPT_CHARS_MAX + 1), ("small", "-"), "at most 262,144"),
        (b"\xc3\xbf" * (2 * PROMPT_CHARS_MAX + 1), ("small",), "at most 262,144"),
        (b"", ("small", "x", "--temperature", "9"), "parameters.temperature"),
    ]:
        refused = _run(network, "generate", *words, given=given_)
        assert (refused.exit_code, why in refused.output) == (2, True), refused.output
    assert _run(network, "generate", "nobody", "x").exit_code == 4
    # Nothing but its program failed.
    with _node(api, left="no answer"):
        failed = _run(network, "generate", "small", "x")
    assert failed.exit_code == 1
    assert "`neurogrid logs task_" in failed.stderr


def test_an_image_is_fetched_and_checked(api: ServedWorld, network: Path, tmp_path: Path) -> None:
    made = {"image": "a b.png", "width": 64, "height": 32, "steps": 3, "seed": 42}
    file = tmp_path / "image.png"
    words = ("image", "makers/large", "A castle", "--width", "64", "--negative", "fog")
    with _node(api, {**made, "execution_time_s": 8.5}, {"a b.png": b"an image"}):
        done = _run(network, *words, "-o", str(file))
        assert done.exit_code == 0, done.output
        assert (done.stdout, file.read_bytes().rstrip()) == ("", b"an image")
        assert "makers/large: 64 x 32, 3 steps, seed 42, 8.5 s" in done.stderr
        asked = _asked(network, done.stderr.split()[-1])
        assert (asked["negative_prompt"], asked["parameters"]["width"]) == ("fog", 64)
        piped = _run(network, *words, "-o", "-")
        assert piped.stdout_bytes.rstrip() == b"an image"
        told = json.loads(_run(network, *words, "-o", str(file), "--json").stdout)
        assert (told["file"], told["answer"]["parameters_used"]["seed"]) == (str(file), 42)
    assert _run(network, *words).exit_code == 2, "no file is named"
    assert _run(network, *words, "-o", "-", "--json").exit_code == 2


def test_a_recording_becomes_text_or_subtitles(
    api: ServedWorld, network: Path, tmp_path: Path
) -> None:
    sound, titles = tmp_path / "speech.mp3", tmp_path / "speech.srt"
    sound.write_bytes(b"sound")
    with _node(api, _HEARD):
        shown = _run(network, "transcribe", "ear", str(sound), "--language", "en")
        assert shown.exit_code == 0, shown.output
        assert shown.stdout == "Hello there. <Goodbye>\n"
        assert "ear: en, 95% sure, 1.8 s" in shown.stderr
        written = ("--format", "srt", "-o", str(titles))
        assert _run(network, "transcribe", "ear", "-", *written, given=b"sound").exit_code == 0
        assert titles.read_text().startswith(
            "1\n00:00:00,000 --> 00:00:03,250\nHello there.\n\n2\n01:01:01,500 --> "
        )
        told = json.loads(_run(network, "transcribe", "ear", str(sound), "--json").stdout)
        assert told["segments"][0]["end"] == 3.25
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(25 * 1024 * 1024 + 1)
    for name, why in [(large, "more than 25 MiB"), (Path("/dev/null"), "is empty")]:
        refused = _run(network, "transcribe", "ear", str(name))
        assert (refused.exit_code, why in refused.stderr) == (2, True)


def test_what_was_said_before_goes_along_in_a_chat(api: ServedWorld, network: Path) -> None:
    lines = "Hello\\\nthere\n\nWhy?\n/new\nAnd now?\n/quit\nnever asked\n"
    with _node(api):
        said = _run(network, "chat", "small", "--system", "Be brief.", "--json", given=lines)
        assert said.exit_code == 0, said.output
        answers = [json.loads(line) for line in said.stdout.splitlines()]
        asked = [
            [each["content"] for each in _asked(network, answer["id"])["messages"]]
            for answer in answers
        ]
        assert asked == [
            ["Be brief.", "Hello\nthere"],
            ["Be brief.", "Hello\nthere", RESULT["text"], "Why?"],
            ["Be brief.", "And now?"],
        ]
        shown = _run(network, "chat", "small", given="Hello\nWhy?")
        assert shown.stdout == f"{RESULT['text']}\n" * 2
        assert "2 answers, 10 tokens" in shown.stderr
    assert _run(network, "chat", "nobody", given="Hello\nWhy?\n").exit_code == 4


def test_a_person_cancels_an_answer_and_goes_on(api: ServedWorld, network: Path) -> None:
    command = [sys.executable, "-m", "neurogrid", "chat", "small"]
    environment = {**os.environ, "NEUROGRID_NETWORK": str(network), "TERM": "xterm"}
    with screen(command, environment) as shown:
        shown.until(b"> ")
        shown.type(b"Is nobody there?\r")
        # It is drawn while nobody answers.
        shown.until(b"small 0 s")
        with Client(network=network) as client:
            until(lambda: list(client.tasks.list()), "the question has arrived")
        # As Ctrl-C in a terminal of its own.
        shown.child.send_signal(signal.SIGINT)
        shown.until(b"Not waited for any more")
        shown.until(b"> ")
        with _node(api, {**RESULT, "text": "Yes.\x1b[2J"}):
            shown.type(b"And now?\r")
            shown.until("Yes.\N{REPLACEMENT CHARACTER}[2J\r\n> ".encode())
        shown.type(b"\x04")
        shown.until(b"1 answer, 5 tokens")
        assert shown.child.wait(PATIENCE_S) == 0
    with Client(network=network) as client:
        answered, given_up = client.tasks.list()
        assert answered.status == "completed"
        # The api looks each second whether who waits is still there.
        assert client.tasks.wait(given_up.id, timeout_s=PATIENCE_S).status == "cancelled"


@given(st.lists(st.integers(0, PROMPT_CHARS_MAX), max_size=8), st.integers(0, 9), st.booleans())
def test_a_conversation_stays_within_what_the_api_takes(
    lengths: list[int], system: int, is_long: bool
) -> None:
    conversation = Conversation("s" * system)
    if is_long:
        for _ in range(MESSAGES_MAX):
            conversation.answered("q", "a")
    for length in lengths:
        question = "q" * (length - system)
        sent = conversation.asked(question)
        assert sent[-1] == {"role": "user", "content": question}
        assert sum(len(each["content"]) for each in sent) <= PROMPT_CHARS_MAX
        assert len(sent) <= MESSAGES_MAX
        roles = [each["role"] for each in sent if each["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert (sent[0]["role"] == "system") == bool(system)
        conversation.answered(question, "a" * length)
    with pytest.raises(ValueError, match="at most 262,144"):
        conversation.asked("q" * (PROMPT_CHARS_MAX + 1 - system))


def test_what_is_asked_is_read_line_by_line() -> None:
    for lines, asked in [
        ([], []),
        (["", " one ", "two\\", " three", "\\"], ["one", "two\n three"]),
        (["four\\"], ["four"]),
    ]:
        assert list(questions(iter(lines))) == asked


def test_subtitles_are_as_players_read_them() -> None:
    segments = [TranscriptSegment(**each) for each in _HEARD["segments"]]  # type: ignore[attr-defined]  # a list
    odd = TranscriptSegment(start=59.9999, end=60, text="a\n\n--> & b")
    assert srt([*segments, odd]).split("\n\n")[1:] == [
        "2\n01:01:01,500 --> 01:01:02,000\n<Goodbye>",
        "3\n00:01:00,000 --> 00:01:00,000\na --> & b",
        "",
    ]
    assert vtt([*segments, odd]).split("\n\n") == [
        "WEBVTT",
        "00:00:00.000 --> 00:00:03.250\nHello there.",
        "01:01:01.500 --> 01:01:02.000\n&lt;Goodbye>",
        "00:01:00.000 --> 00:01:00.000\na --&gt; &amp; b",
        "",
    ]
    assert srt([]) == ""


def test_a_text_steers_no_terminal() -> None:
    assert harmless("a\tb\n\x1b[2Jé\x07\r") == "a\tb\n�[2Jé��"


def _asked(network: Path, task_id: str) -> dict[str, Any]:
    """The file that the model's program reads."""
    with Client(network=network) as client:
        inputs = {each.path: each.sha256 for each in client.tasks.get(task_id).inputs}
        data = client._transport.send("GET", f"/artifacts/{inputs['request.json']}").content
    found: dict[str, Any] = json.loads(data)
    return found

"""Vectors, transcripts, pictures and what was drawn by chance: checked by other owners' replicas, each in its own way."""

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conformance.recording import silence
from coordinator.api_world import Customer
from coordinator.fake_jobs import Serve
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from coordinator.replica_world import CATALOGUE, MODEL
from coordinator.test_model_checks import NAMES, Checked, Server, checked
from coordinator.test_replica_kinds import AUDIO, IMAGE, VECTORS, told
from neurogrid_coordinator.model_checks import checker as checker_module
from neurogrid_coordinator.model_checks import delivered as delivered_module
from neurogrid_marketplace.model_check import Judged
from neurogrid_marketplace.suspicion import Charge

CHEAT = "three"
WORDS = [
    "so",
    "much",
    "of",
    "it",
    "was",
    "said",
    "in",
    "this",
    "recording",
    "that",
    "it",
    "can",
    "be",
    "told",
    "apart",
    "from",
    "others",
]


@dataclass
class Told(Server):
    """A server that answers each request with what it makes of it."""

    answer: Callable[[str, bytes], Any] = lambda target, body: {}
    requests: list[tuple[str, bytes]] = field(default_factory=list)

    def serve(self) -> Serve:
        return told(lambda: self.answer(*self.requests[-1]), self.requests)


def servers(honest: Callable[[str, bytes], Any], cheat: Callable[[str, bytes], Any]) -> list[Told]:
    return [Told(answer=cheat if name == CHEAT else honest) for name in NAMES]


def vectors(turned: float) -> Callable[[str, bytes], Any]:
    """Of each text: by its number, and turned so far."""

    def answer(target: str, body: bytes) -> Any:
        texts = json.loads(body)["input"]
        lots = [random.Random(text) for text in texts]
        made = [[lot.gauss(0, 1) + turned * lot.gauss(0, 1) for _ in range(64)] for lot in lots]
        data = [{"index": at, "embedding": each} for at, each in enumerate(made)]
        return {"data": data, "usage": {"prompt_tokens": 9, "total_tokens": 9}}

    return answer


def heard(words: list[str], seconds: int = 3) -> Callable[[str, bytes], Any]:
    usage = {"type": "duration", "seconds": seconds}
    said = {"language": "en", "duration": seconds, "text": " ".join(words), "usage": usage}
    return lambda target, body: {**said, "segments": []}


def png(colour: int, side: int = 64) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + bytes(4)

    rows = b"".join(b"\0" + bytes([colour, row, 7]) * side for row in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    packed = zlib.compress(rows)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def drawn(file: bytes) -> Callable[[str, bytes], Any]:
    return lambda target, body: {"data": [{"b64_json": base64.b64encode(file).decode()}]}


async def embed(customer: Customer, number: int) -> Any:
    return await customer.http.post(
        "/v1/embeddings",
        json={
            "model": MODEL,
            "input": [f"text {number}", "b", "c"],
            "provider": {"order": [node_id(CHEAT)]},
        },
        timeout=60,
    )


async def hear(customer: Customer, number: int) -> Any:
    return await customer.http.post(
        "/v1/audio/transcriptions",
        data={
            "model": MODEL,
            "prompt": f"number {number}",
            "provider": json.dumps({"order": [node_id(CHEAT)]}),
        },
        files={"file": ("a.wav", silence(2.5))},
        timeout=60,
    )


async def draw(customer: Customer, number: int) -> Any:
    return await customer.http.post(
        "/v1/images/generations",
        json={
            "model": MODEL,
            "prompt": "a",
            "seed": number,
            "provider": {"order": [node_id(CHEAT)]},
        },
        timeout=60,
    )


async def write(customer: Customer, number: int) -> Any:
    return await customer.http.post(
        "/v1/completions",
        json={
            "model": MODEL,
            "prompt": f"prompt {number}",
            "temperature": 0.8,
            "provider": {"order": [node_id(CHEAT)]},
        },
        timeout=60,
    )


def written(claims: int) -> Callable[[str, bytes], Any]:
    """Some text, another one each time; it reads and writes a token for each word."""

    def answer(target: str, body: bytes) -> Any:
        sent = json.loads(body)
        if target == "/tokenize":
            return {"count": len(sent["prompt"].split()), "tokens": []}
        text = " ".join(random.choices(WORDS, k=40))
        usage = {"prompt_tokens": 2, "completion_tokens": claims}
        return {"choices": [{"index": 0, "text": text, "finish_reason": "length"}], "usage": usage}

    return answer


KINDS: dict[str, Any] = {
    "vectors": (VECTORS, embed, vectors(0), vectors(0.2), (), Charge.SUBSTITUTES),
    "transcripts": (
        AUDIO,
        hear,
        heard(WORDS),
        heard(WORDS[::-1]),
        ("audio_prompt",),
        Charge.SUBSTITUTES,
    ),
    "half transcripts": (
        AUDIO,
        hear,
        heard(WORDS),
        heard(WORDS[:8]),
        ("audio_prompt",),
        Charge.SHORTENS,
    ),
    "pictures": (
        IMAGE,
        draw,
        drawn(png(90)),
        drawn(png(200)),
        ("seed", "reproducible"),
        Charge.SUBSTITUTES,
    ),
    "counts": (CATALOGUE, write, written(41), written(60), ("tokenize",), Charge.OVERCOUNTS),
}


@pytest.mark.parametrize("kind", KINDS)
@on_asyncio
async def test_who_answers_otherwise_is_found_out(tmp_path: Path, kind: str) -> None:
    catalogue, ask, honest, cheat, features, charge = KINDS[kind]
    told_by = servers(honest, cheat)
    async with checked(tmp_path, *told_by, catalogue=catalogue, features=features) as here:
        alice = await here.here.world.customer("alice")
        bob = await here.here.world.customer("bob")
        for number in range(8):
            answer = await ask((alice, bob)[number % 2], number)
            assert answer.status_code == 200, answer.text
            await here.settled()
            known = await here.known(CHEAT)
            assert known is not None
            if known.charge is not None:
                break
        assert known is not None
        assert known.charge is charge
        assert {await here.known(name) for name in NAMES[:2]} == {None}
        rows = await here.rows()
        assert {row.judged for row in rows} == {Judged.WRONG}
        assert all(len(row.evidence_json or "") < 100_000 for row in rows)


@pytest.mark.parametrize("kind", KINDS)
@on_asyncio
async def test_who_answers_as_others_do_is_right(tmp_path: Path, kind: str) -> None:
    catalogue, ask, honest, _, features, _ = KINDS[kind]
    told_by = servers(honest, honest)
    async with checked(tmp_path, *told_by, catalogue=catalogue, features=features) as here:
        alice = await here.here.world.customer("alice")
        for number in range(3):
            assert (await ask(alice, number)).status_code == 200
            await here.settled()
        known = await here.known(CHEAT)
        assert known is not None
        assert (known.suspicion.checks, known.suspicion.is_raised) == (3, False)
        await asked_again(here, told_by, kind)


async def asked_again(here: Checked, told_by: list[Told], kind: str) -> None:
    """Byte for byte what the client's server was asked; where only tokens are counted, what was read and what was written."""
    delivered = told_by[2].requests
    others = [*told_by[0].requests, *told_by[1].requests]
    if kind != "counts":
        assert sorted(others) == sorted(delivered)
        return
    counted = [json.loads(body) for target, body in others]
    assert {target for target, _ in others} == {"/tokenize"}
    assert len(counted) == 6
    asked = {json.loads(body)["prompt"] for _, body in delivered}
    assert {each["prompt"] for each in counted if "add_special_tokens" not in each} == asked
    assert all(row.cost_micro_usdc == 0 for row in await here.rows())


@on_asyncio
async def test_a_streamed_transcript_whose_server_says_it_at_once_is_checked(
    tmp_path: Path,
) -> None:
    told_by = servers(heard(WORDS), heard(WORDS[::-1]))
    async with checked(tmp_path, *told_by, catalogue=AUDIO, features=()) as here:
        alice = await here.here.world.customer("alice")
        answer = await alice.http.post(
            "/v1/audio/transcriptions",
            data={
                "model": MODEL,
                "stream": "true",
                "provider": json.dumps({"order": [node_id(CHEAT)]}),
            },
            files={"file": ("a.wav", silence(2.5))},
            timeout=60,
        )
        assert answer.text.endswith("data: [DONE]\n\n"), answer.text
        await here.settled()
        (row,) = await here.rows()
        assert row.judged is Judged.WRONG
        evidence = json.loads(row.evidence_json or "")
        # A client's voice is not kept.
        assert set(json.loads(evidence["request"])) == {"fields", "file_sha256"}


@on_asyncio
async def test_recordings_that_wait_have_a_bound_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checker_module, "HELD_BYTES_MAX", 100_000)
    told_by = servers(heard(WORDS), heard(WORDS))
    async with checked(tmp_path, *told_by, catalogue=AUDIO, features=("audio_prompt",)) as here:
        alice = await here.here.world.customer("alice")
        assert (await hear(alice, 1)).status_code == 200
        await here.settled()
        monkeypatch.setattr(checker_module, "HELD_BYTES_MAX", 50_000)
        assert (await hear(alice, 2)).status_code == 200
        await here.settled()
        assert here.here.pool.tally.checks == {"right": 1, "left_out": 1}


@on_asyncio
async def test_what_is_not_drawn_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> Any:
        raise AssertionError("nobody asked for it")

    monkeypatch.setattr(delivered_module, "reading_of", fail)
    told_by = servers(heard(WORDS), heard(WORDS))
    async with checked(tmp_path, *told_by, catalogue=AUDIO, features=(), percent=0) as here:
        alice = await here.here.world.customer("alice")
        assert (
            await alice.http.post(
                "/v1/audio/transcriptions",
                data={"model": MODEL},
                files={"file": ("a.wav", silence(2.5))},
                timeout=60,
            )
        ).status_code == 200
        assert here.here.pool.tally.checks == {}


@on_asyncio
async def test_a_picture_that_none_is_where_others_draw_one_is_wrong(tmp_path: Path) -> None:
    told_by = servers(drawn(png(90)), drawn(b"\x89PNG\r\n\x1a\n nothing"))
    async with checked(
        tmp_path, *told_by, catalogue=IMAGE, features=("seed", "reproducible")
    ) as here:
        alice = await here.here.world.customer("alice")
        assert (await draw(alice, 1)).status_code == 200
        await here.settled()
        (row,) = await here.rows()
        assert row.judged is Judged.WRONG

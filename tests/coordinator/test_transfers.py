"""Transactions that wallets sign: what is taken, what is sent, and what becomes of it."""

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import Customer, World, open_world
from coordinator.fake_wallet_chain import LIFE_BLOCKS, signed_by
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.money.transfer import NotWhatWasAsked, signature_in
from neurogrid_coordinator.money.transfer_follower import TransferFollower
from neurogrid_marketplace.errors import BadSignature
from neurogrid_wallet.chain import TransactionFailure
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.payment import EXPIRY_MARGIN_BLOCKS
from neurogrid_wallet.transactions import signature_of

KEY = KeyPair(b"a" * 32)
TRANSFERS = "/api/v1/wallet/transfers"


@asynccontextmanager
async def followed(folder: Path) -> AsyncGenerator[tuple[World, Customer, TransferFollower]]:
    """A world, a customer, and who sends what its wallet signs."""
    async with open_world(folder) as world:
        alice = await world.customer("alice")
        changed: list[str] = []
        follower = TransferFollower(
            world.database, world.wallets, changed.append, lambda: world.now_ms
        )
        yield world, alice, follower


async def asked(alice: Customer, **body: Any) -> dict[str, Any]:
    answer = await alice.http.post("/api/v1/wallet/deposits", json={"amount": "2.00", **body})
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    assert isinstance(made, dict)
    return made


async def submitted(alice: Customer, made: dict[str, Any]) -> dict[str, Any]:
    signed = signed_by(alice.wallet, base64.b64decode(made["transaction"]))
    answer = await alice.http.post(
        f"{TRANSFERS}/{made['id']}/submit", json={"signed_transaction": signed}
    )
    assert answer.status_code == 202, answer.text
    found = answer.json()["data"]
    assert isinstance(found, dict)
    return found


async def shown(alice: Customer, made: dict[str, Any]) -> dict[str, Any]:
    found = (await alice.http.get(f"{TRANSFERS}/{made['id']}")).json()["data"]
    assert isinstance(found, dict)
    return found


def test_only_the_very_message_signed_by_its_wallet_is_taken() -> None:
    message = b"a message" * 20
    good = b"\x01" + KEY.sign(message) + message
    assert signature_in(good, message, KEY.address) == signature_of(good)
    for other in (b"", good[:-1], good + b"\0", b"\x02" + good[1:], good[:65], good[1:]):
        with pytest.raises(NotWhatWasAsked):
            signature_in(other, message, KEY.address)
    stranger = KeyPair(b"b" * 32)
    for signature in (stranger.sign(message), bytes(64), KEY.sign(message + b"x")):
        with pytest.raises(BadSignature):
            signature_in(b"\x01" + signature + message, message, KEY.address)


@pytest.mark.both_databases
@on_asyncio
async def test_what_was_signed_is_sent_until_it_is_final(tmp_path: Path) -> None:
    async with followed(tmp_path) as (world, alice, follower):
        made = await asked(alice)
        assert not await follower.look()
        assert world.wallets.sent == []
        world.wallets.loses = True
        under_way = await submitted(alice, made)
        assert under_way["status"] == "submitted"
        assert under_way["transaction"] is None
        assert await follower.look()
        assert await follower.look()
        assert len(set(world.wallets.sent)) == 1, "the same bytes, again and again"
        assert signature_of(world.wallets.sent[0]) == under_way["signature"]
        world.wallets.loses = False
        await follower.look()
        assert await follower.look()
        assert (await shown(alice, made))["status"] == "confirmed"
        world.wallets.finalize()
        assert not await follower.look()
        assert (await shown(alice, made))["status"] == "completed"
        sent = len(world.wallets.sent)
        assert (await submitted(alice, made))["status"] == "completed"
        assert not await follower.look()
        assert len(world.wallets.sent) == sent, "what is done is not done again"


@pytest.mark.both_databases
@on_asyncio
async def test_a_follower_that_died_is_followed_by_another(tmp_path: Path) -> None:
    async with followed(tmp_path) as (world, alice, _):
        await submitted(alice, await asked(alice))
    async with open_world(tmp_path) as world:
        again = TransferFollower(world.database, world.wallets, lambda _: None, lambda: 1)
        assert await again.look()
        assert len(world.wallets.sent) == 1


@pytest.mark.both_databases
@on_asyncio
async def test_one_that_never_landed_is_dead_only_with_proof(tmp_path: Path) -> None:
    async with followed(tmp_path) as (world, alice, follower):
        world.wallets.loses = True
        made = await submitted(alice, await asked(alice))
        world.wallets.height += LIFE_BLOCKS + EXPIRY_MARGIN_BLOCKS
        assert await follower.look()
        assert (await shown(alice, made))["status"] == "submitted"
        world.wallets.height += 1
        assert not await follower.look()
        assert (await shown(alice, made))["status"] == "expired"


@pytest.mark.both_databases
@on_asyncio
async def test_one_that_the_chain_refused_says_why(tmp_path: Path) -> None:
    async with followed(tmp_path) as (world, alice, follower):
        made = await submitted(alice, await asked(alice))
        await follower.look()
        world.wallets.finalize(TransactionFailure("Custom", 1, 124))
        assert not await follower.look()
        found = await shown(alice, made)
        assert (found["status"], found["failure"]) == ("failed", "Custom 124 in instruction 1")


@pytest.mark.both_databases
@on_asyncio
async def test_what_was_signed_too_late_is_refused(tmp_path: Path) -> None:
    async with followed(tmp_path) as (world, alice, follower):
        made = await asked(alice)
        world.wallets.height += LIFE_BLOCKS + 1
        signed = signed_by(alice.wallet, base64.b64decode(made["transaction"]))
        answer = await alice.http.post(
            f"{TRANSFERS}/{made['id']}/submit", json={"signed_transaction": signed}
        )
        assert answer.status_code == 409
        assert "too late" in answer.json()["error"]["message"]
        assert not await follower.look()


@pytest.mark.both_databases
@on_asyncio
async def test_without_a_chain_what_was_signed_waits(tmp_path: Path) -> None:
    async with followed(tmp_path) as (world, alice, follower):
        made = await asked(alice)
        world.wallets.away = True
        assert (await submitted(alice, made))["status"] == "submitted"
        world.wallets.away = False
        assert await follower.look()
        assert len(world.wallets.sent) == 1

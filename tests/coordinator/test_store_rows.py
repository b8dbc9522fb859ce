from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.on_asyncio import on_asyncio
from coordinator.places import place_in
from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_coordinator.store import accounts, artifacts, events, leases, logs, task_lists, tasks
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.ids import new_id
from neurogrid_marketplace.fields import Id, decode
from neurogrid_marketplace.settlement import SettlementPhase, opening
from neurogrid_marketplace.task import Ending, Lease, Phase

pytestmark = pytest.mark.both_databases


def test_ids_sort_in_the_order_they_were_made_and_have_the_markets_form() -> None:
    made = [new_id("task") for _ in range(200)]
    assert [name[:17] for name in made] == sorted(name[:17] for name in made)
    assert len(set(made)) == 200
    for name in made:
        decode(Id, name)
        assert name[5 + 12] == "7"


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


@on_asyncio
async def test_only_the_hash_of_a_key_is_stored_and_the_key_is_found_by_it(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        account = await db.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        issued = await db.write(accounts.issue_key, account.id, "laptop", ("tasks",), NOW_MS)
        found = await db.read(accounts.find_key, issued.secret, NOW_MS)
    assert found == issued.api_key
    assert issued.secret.startswith("ng_")
    assert len(issued.secret) == accounts.KEY_CHARS == 46
    assert issued.secret.encode() not in everything_in(tmp_path)


@on_asyncio
async def test_unknown_expired_and_revoked_keys_are_told_apart(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        account = await db.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        brief = await db.write(accounts.issue_key, account.id, "a", (), NOW_MS, NOW_MS + 10)
        other = await db.write(accounts.issue_key, account.id, "b", (), NOW_MS)
        assert await db.write(accounts.revoke_key, other.api_key.id, NOW_MS)
        assert not await db.write(accounts.revoke_key, "key_none", NOW_MS)
        await db.read(accounts.find_key, brief.secret, NOW_MS + 9)
        with pytest.raises(accounts.KeyExpired):
            await db.read(accounts.find_key, brief.secret, NOW_MS + 10)
        with pytest.raises(accounts.KeyRevoked):
            await db.read(accounts.find_key, other.secret, NOW_MS)
        with pytest.raises(accounts.KeyUnknown):
            await db.read(accounts.find_key, "ng_\ud800", NOW_MS)


@on_asyncio
async def test_a_key_of_another_account_cannot_be_revoked(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        account = await db.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        key = await db.write(accounts.issue_key, account.id, "a", (), NOW_MS)
        assert not await db.write(
            accounts.revoke_key, key.api_key.id, NOW_MS, account_id="acct_other"
        )
        await db.read(accounts.find_key, key.secret, NOW_MS)


@on_asyncio
async def test_a_wallet_has_one_account(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        first = await db.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        with pytest.raises(accounts.WalletTaken, match=first.id):
            await db.write(accounts.create, "Bob", wallet("ada"), NOW_MS)


@on_asyncio
async def test_a_task_is_stored_whole_with_its_first_event(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        account = await db.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        task = new_task(account.id)
        row, created = await db.write(tasks.insert_new, task, NOW_MS)
        assert created
        assert (row.state, row.job, row.spec) == (task.state, task.job, task.spec)
        assert row.hold_micro_usdc == 60_000
        (event,) = await db.read(events.after, 0, account_id=account.id)
        assert (event.kind, event.task_id) == ("task.created", row.id)
        assert await db.read(tasks.held_micro_usdc, account.wallet) == 60_000


@on_asyncio
async def test_an_idempotency_key_gives_the_first_task_again(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        account = await db.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        task = new_task(account.id, idempotency_key="k")
        again = new_task(account.id, idempotency_key="k")
        other = new_task(account.id, idempotency_key="k", name="other")
        first, _ = await db.write(tasks.insert_new, task, NOW_MS)
        second, created = await db.write(tasks.insert_new, again, NOW_MS)
        assert (second.id, created) == (first.id, False)
        with pytest.raises(tasks.IdempotencyConflict, match=first.id):
            await db.write(tasks.insert_new, other, NOW_MS)


@on_asyncio
async def test_lists_filter_count_and_hide_what_was_deleted(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        account = await db.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        for name in ("first 10%", "second"):
            task = new_task(account.id, name=name)
            await db.write(tasks.insert_new, task, NOW_MS)
        mine = task_lists.TaskFilter(account.id)
        second, first = await db.read(task_lists.list_rows, mine)
        assert (first.name, second.name) == ("first 10%", "second")
        by_text = task_lists.TaskFilter(account.id, text="10%")
        assert await db.read(task_lists.count, by_text) == 1
        assert not await db.write(tasks.delete, first.id, account.id, NOW_MS)

        ended = replace(first.state, phase=Phase.CANCELLED, ending=Ending("CANCELLED", ""))
        await db.write(tasks.save_state, ended, NOW_MS + 1)
        assert [found.task.task_id for found in await db.read(tasks.active)] == [second.id]
        assert await db.write(tasks.delete, first.id, account.id, NOW_MS)
        assert await db.read(tasks.get, first.id, account.id) is None
        assert await db.read(tasks.get, first.id) is not None
        phases = await db.read(task_lists.count_by_phase, account.id)
        assert (phases[Phase.QUEUED], phases[Phase.CANCELLED]) == (1, 0)


async def lease_in(db: Database) -> leases.LeaseRow:
    account = await db.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
    task = new_task(account.id)
    row, _ = await db.write(tasks.insert_new, task, NOW_MS)
    lease = Lease(new_id("lease"), "node", wallet("node"), 100, 1000, new_id("demand"), "0" * 64)
    await db.write(leases.insert_new, lease, row.id, account.id, NOW_MS)
    stored = await db.read(leases.get, lease.lease_id)
    assert stored is not None
    assert stored.lease == lease
    return stored


@on_asyncio
async def test_an_open_escrow_ends_the_hold(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        row = await lease_in(db)
        account = await db.read(accounts.get, row.account_id)
        assert account is not None
        found = await db.read(tasks.state_of, row.task_id)
        assert found is not None
        state = replace(found.task, phase=Phase.STARTING, lease=row.lease)
        await db.write(tasks.save_state, state, NOW_MS)
        assert await db.read(tasks.held_micro_usdc, account.wallet) == 60_000
        state = replace(state, lease=replace(row.lease, escrow_open=True))
        await db.write(tasks.save_state, state, NOW_MS)
        assert await db.read(tasks.held_micro_usdc, account.wallet) == 0


@on_asyncio
async def test_a_lease_is_unsettled_until_its_money_is(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        row = await lease_in(db)
        assert await db.read(leases.unsettled) == [row.id]
        await db.write(leases.save_settlement, opening(row.settlement, 1), NOW_MS)
        stored = await db.read(leases.get, row.id)
        assert stored is not None
        assert stored.settlement.phase is SettlementPhase.OPENING
        closed = replace(stored.settlement, phase=SettlementPhase.CLOSED)
        await db.write(leases.save_settlement, closed, NOW_MS)
        assert await db.read(leases.unsettled) == []


@on_asyncio
async def test_log_pieces_join_duplicates_are_trimmed_gaps_refused(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        row = await lease_in(db)
        taken = 0
        for offset, data, expected in [
            (0, b"hello ", 6),
            (0, b"hello ", 6),
            (9, b"gap", 6),
            (3, b"lo world", 11),
            (11, b"", 11),
            (11, b"!\n", 13),
        ]:
            taken = await db.write(logs.append, row.id, taken, offset, data, NOW_MS)
            assert taken == expected
        whole = await db.read(logs.read, row.id, 0)
        assert (whole.data, whole.next_offset) == (b"hello world!\n", 13)
        part = await db.read(logs.read, row.id, 4, max_bytes=5)
        assert (part.offset, part.data, part.next_offset) == (4, b"o wor", 9)
        assert (await db.read(logs.read, row.id, 99)).data == b""


@on_asyncio
async def test_a_log_is_cut_off_at_its_limit_and_says_so(tmp_path: Path) -> None:
    piece = b"x" * (1024 * 1024)
    async with Database.open(place_in(tmp_path)) as db:
        row = await lease_in(db)
        taken = 0
        for _ in range(18):
            taken = await db.write(logs.append, row.id, taken, taken, piece, NOW_MS)
        assert taken == 18 * len(piece)
        end = await db.read(logs.read, row.id, logs.LOG_BYTES_MAX)
        assert end.data.startswith(b"\n[neurogrid: the log is cut off here")
        assert end.data.count(b"cut off") == 1


@on_asyncio
async def test_an_artifact_belongs_to_the_accounts_that_uploaded_it(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        row = await lease_in(db)
        mine, digest = row.account_id, "a" * 64
        await db.write(artifacts.add, digest, mine, 7, None, NOW_MS)
        await db.write(artifacts.add, digest, mine, 7, row.id, NOW_MS + 1)
        found = await db.read(artifacts.get, digest, mine)
        assert found == artifacts.Artifact(digest, mine, 7, None, NOW_MS)
        assert await db.read(artifacts.get, digest, "acct_other") is None
        assert await db.read(artifacts.sizes, mine, [digest, "b" * 64]) == {digest: 7}
        assert await db.read(artifacts.total_bytes, mine) == 7

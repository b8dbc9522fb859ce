"""The discovery process, for real: found and finding, killed, stuck, orphaned, and lied to."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from neurogrid_marketplace.advert import ADVERTS_PROTOCOL_ID
from neurogrid_marketplace.fields import plain
from neurogrid_p2p.address import parse_address
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.discovery import child, sources
from neurogrid_p2p.discovery.lines import Alive, Found, Looked, Ready, Useless, to_line
from neurogrid_p2p.discovery.peers import Peer, Scope
from neurogrid_p2p.discovery.process import LIMITS
from neurogrid_p2p.host import open_host
from p2p.discovery_children import ANYWHERE, PATIENCE_S, advert_of, here, process, settings
from p2p.peers import NETWORK, Person, listening, until

pytestmark = pytest.mark.processes

COORDINATOR = Person()


@pytest.mark.parametrize("source", ["rendezvous", "dht", "mdns"])
async def test_a_coordinator_is_found_by_who_does_not_know_it(source: str) -> None:
    async with here(settings(listen=ANYWHERE, serve=True)) as meeting_place:
        address = await meeting_place.address()
        where: dict[str, object] = {"mdns": True} if source == "mdns" else {source: (address,)}
        advert = advert_of(COORDINATOR)
        async with (
            here(settings(listen=ANYWHERE, **where), advert) as announcer,
            here(settings(find=True, **where)) as finder,
        ):
            found = await finder.found(COORDINATOR.peer_id)
            assert (found.source, found.advert) == (source, advert)
            assert found.herald == await announcer.address()


async def test_a_killed_process_is_started_again_carries_the_same_and_finds_again() -> None:
    async with here(settings(listen=ANYWHERE, serve=True)) as meeting_place:
        point = await meeting_place.address()
        advert = advert_of(COORDINATOR)
        async with (
            process(settings(listen=ANYWHERE, rendezvous=(point,)), advert) as announcer,
            process(settings(find=True, rendezvous=(point,))) as finder,
        ):
            await finder.found(COORDINATOR.peer_id)
            for each in (announcer, finder):
                before = each.discovery.pid
                assert before is not None
                seen = len(each.reports)
                os.kill(before, signal.SIGKILL)
                await each.until(Ready, after=seen)
                assert each.discovery.pid not in (None, before)
            seen = len(finder.reports)
            again = (await announcer.until(Ready, after=1)).addresses[0]
            found = await finder.until(Found, lambda each: each.herald == again, after=seen)
            assert found.advert == advert


async def test_a_stuck_process_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "SILENCE_LIMIT_S", 8.0)
    monkeypatch.setattr(child, "_EXIT_LIMIT_S", 0.1)
    async with process(settings(listen=ANYWHERE)) as stuck:
        await stuck.until(Alive)
        before, seen = stuck.discovery.pid, len(stuck.reports)
        assert before is not None
        os.kill(before, signal.SIGSTOP)
        await stuck.until(Ready, after=seen)
        assert not _runs(before)


_PARENT = """
import sys, trio
from neurogrid_p2p.discovery.child import Discovery
from neurogrid_p2p.discovery.lines import Ready, from_line
async def main():
    async def heard(report):
        if isinstance(report, Ready):
            print(discovery.pid, flush=True)
    discovery = Discovery(from_line(sys.argv[1].encode()), heard)
    await discovery.run()
trio.run(main)
"""


async def test_it_does_not_outlive_its_parent_whatever_it_is_doing() -> None:
    of = to_line(settings(listen=ANYWHERE)).decode()
    parent = await trio.lowlevel.open_process(
        [sys.executable, "-c", _PARENT, of], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    try:
        with trio.fail_after(PATIENCE_S):
            line = b""
            while not line.endswith(b"\n"):
                line += await parent.stdout.receive_some(1)
        pid = int(line)
        os.kill(pid, signal.SIGSTOP)  # it cannot even notice
    finally:
        parent.kill()
        await parent.wait()
        await parent.stdout.aclose()
    await until(lambda: not _runs(pid), PATIENCE_S)


def _runs(pid: int) -> bool:
    """Whether it does; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_liars_are_told_apart_and_hide_nobody() -> None:
    """Heralds of what is forged, foreign, somebody else's or nonsense; and one of all that and the truth."""
    good, other = advert_of(COORDINATOR), advert_of(Person())
    forged = {**plain(good), "addresses": list(other.addresses)}
    foreign = plain(advert_of(Person(), network="ng-fedcba9876543210"))
    lies: dict[str, object] = {
        "an address of another peer": {"adverts": [forged]},
        "made for network": {"adverts": [foreign]},
        "exactly the fields": {"adverts": [5]},
        "something else than adverts": {"nothing": 1},
        "carries no adverts": {"adverts": []},
    }
    async with here(settings(listen=ANYWHERE, serve=True)) as meeting_place:
        point = await meeting_place.address()
        async with trio.open_nursery() as nursery:
            heralds = {}
            for why, answer in [*lies.items(), ("", {"adverts": [forged, 5, plain(good)]})]:
                started = await nursery.start(_carry, point, answer)
                heralds[started] = why
            async with here(settings(find=True, rendezvous=(point,))) as finder:
                await finder.until(Looked, lambda each: each.peers == len(heralds))
                useless = {
                    each.herald: each.problem
                    for each in finder.reports
                    if isinstance(each, Useless)
                }
                for herald, why in heralds.items():
                    if why:
                        assert why in useless[herald], useless
                found = [each.advert for each in finder.reports if isinstance(each, Found)]
                assert set(found) == {good}
            nursery.cancel_scope.cancel()


async def _carry(
    point: str, answer: object, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Be found at a point, and hand out whatever it is."""

    async def hand_out(channel: Channel) -> None:
        assert isinstance(answer, dict)
        await channel.send(answer)

    async with listening(LIMITS) as host:
        host.serve(ADVERTS_PROTOCOL_ID, hand_out)
        us = Peer(host.peer_id, tuple(map(parse_address, host.addresses)))
        await sources.Rendezvous(host, point, NETWORK, Scope(private=True)).announce(us)
        task_status.started(host.addresses[0])
        await trio.sleep_forever()


async def test_nothing_is_announced_before_there_is_something_to_hand_out() -> None:
    async with here(settings(listen=ANYWHERE, serve=True)) as meeting_place:
        point = await meeting_place.address()
        async with here(settings(listen=ANYWHERE, rendezvous=(point,))) as announcer:
            await announcer.until(Alive)
            assert not [each for each in announcer.reports if isinstance(each, Looked)]
            await announcer.carry(advert_of(COORDINATOR))
            told = await announcer.until(Looked)
            assert (told.doing, told.problem) == ("announce", "")


async def test_one_that_can_be_reached_by_nobody_says_what_to_set() -> None:
    of = settings(listen=ANYWHERE, private=False, rendezvous=(f"{_nowhere()}",))
    async with here(of, advert_of(COORDINATOR)) as announcer:
        told = await announcer.until(Looked)
        assert told.problem == "no address of ours is one that others dial: set hosts"
    of = settings(listen=ANYWHERE, hosts=("coordinator.example.org", "9.9.9.9"))
    async with here(of) as named:
        ready = await named.until(Ready)
        port = parse_address(ready.listen[0]).port
        assert ready.addresses == (
            f"/dns/coordinator.example.org/tcp/{port}/p2p/{ready.peer_id}",
            f"/ip4/9.9.9.9/tcp/{port}/p2p/{ready.peer_id}",
        )


def _nowhere() -> str:
    return f"/ip4/127.0.0.1/tcp/1/p2p/{Person().peer_id}"


async def test_sources_that_are_away_are_named_and_keep_nobody_from_the_others() -> None:
    async with here(settings(listen=ANYWHERE, serve=True)) as meeting_place:
        point = await meeting_place.address()
        advert = advert_of(COORDINATOR)
        where: dict[str, object] = {"rendezvous": (_nowhere(), point), "dht": (_nowhere(),)}
        async with (
            here(settings(listen=ANYWHERE, **where), advert),
            here(settings(find=True, **where)) as finder,
        ):
            assert (await finder.found(COORDINATOR.peer_id)).source == "rendezvous"
            dead = await finder.until(Looked, lambda each: each.source == "dht")
            assert "no node of the DHT was reached: cannot reach" in dead.problem


async def test_a_flood_of_connections_is_cut_off_and_the_next_question_is_answered() -> None:
    async with here(settings(listen=ANYWHERE, serve=True)) as meeting_place:
        address = parse_address(await meeting_place.address())
        async with trio.open_nursery() as nursery:
            for _ in range(2 * LIMITS.connections):
                nursery.start_soon(_knock, address.host, address.port)
        await meeting_place.until(Alive, after=len(meeting_place.reports))
        async with open_host(Person().seed) as host:
            source = sources.Rendezvous(host, str(address), NETWORK, Scope(private=True))
            found: list[Peer] = []
            await source.find(found.append)
        assert [each for each in meeting_place.reports if isinstance(each, Ready)] == [
            meeting_place.reports[0]
        ]


async def _knock(host: str, port: int) -> None:
    """Connect, say nothing useful, leave."""
    try:
        stream = await trio.open_tcp_stream(host, port)
        async with stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            await stream.receive_some()
    except (OSError, trio.BrokenResourceError):
        pass


async def test_it_ends_when_its_orders_do() -> None:
    # Whoever starts it from a thread that ends (as here) must not be its parent for the kernel.
    of = to_line(settings(listen=ANYWHERE))
    done = await trio.run_process(
        [sys.executable, "-m", "neurogrid_p2p.discovery"], stdin=of, capture_stdout=True
    )
    assert json.loads(done.stdout.splitlines()[0])["kind"] == "ready"


async def test_a_port_that_is_taken_is_one_line() -> None:
    async with listening() as host:
        of = to_line(settings(listen=host.listen_addresses))
        done = await trio.run_process(
            [sys.executable, "-m", "neurogrid_p2p.discovery"],
            stdin=of,
            capture_stderr=True,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert "cannot listen" in line

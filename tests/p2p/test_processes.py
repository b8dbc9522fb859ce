"""Peers in other processes, and what happens to them."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import open_host
from p2p.peers import PROTOCOL, Person

pytestmark = pytest.mark.processes


@asynccontextmanager
async def echoing_process() -> AsyncIterator[tuple[trio.Process, Channel]]:
    """Another process, and a channel to it."""
    script = Path(__file__).with_name("echo_process.py")
    process = await trio.lowlevel.open_process(
        [sys.executable, str(script)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            line += await process.stdout.receive_some()
        async with open_host(Person().seed) as host:
            yield process, await host.dial(line.decode().strip(), PROTOCOL)
    finally:
        process.kill()
        await process.wait()
        if process.stdout is not None:
            await process.stdout.aclose()


async def test_processes_talk_and_a_killed_one_is_noticed_at_once() -> None:
    async with echoing_process() as (process, channel):
        for number in range(100):
            await channel.send({"n": number, "filling": "x" * 10_000})
            assert (await channel.receive())["n"] == number
        process.kill()
        with trio.fail_after(60), pytest.raises(ChannelClosed):
            await channel.receive()
        with pytest.raises(ChannelClosed):
            await channel.send({})


async def test_a_stopped_process_holds_nobody_up() -> None:
    async with echoing_process() as (process, channel):
        process.send_signal(signal.SIGSTOP)
        with trio.move_on_after(0.5) as deadline:
            while True:
                await channel.send({"filling": "x" * 60_000})
        assert deadline.cancelled_caught
        with trio.move_on_after(0.2) as deadline:
            await channel.receive()
        assert deadline.cancelled_caught
        started = trio.current_time()
        await channel.aclose()
        assert trio.current_time() - started < 15.0

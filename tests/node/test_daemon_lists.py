"""The node's lists of peers, read again at SIGHUP."""

import logging
import os
import signal
from importlib.resources import files
from pathlib import Path

import pytest
import trio
import trio.testing

from neurogrid_node.housekeeping import follow_lists
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import DialFailed
from neurogrid_p2p.host import open_host
from p2p.peers import PROTOCOL, Person, listening, until

EXAMPLE = files("neurogrid_node").joinpath("node.toml").read_text()


def example(denied: str) -> str:
    """The example, with this in [peers] deny; other sections have such a list, too."""
    before, section, rest = EXAMPLE.partition("[peers]\n")
    return before + section + rest.replace("deny = []", f'deny = ["{denied}"]', 1)


async def keep(channel: Channel) -> None:
    await trio.sleep_forever()


async def test_lists_are_read_again_at_a_signal_and_a_mistake_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "node.toml"
    async with (
        listening() as server,
        open_host(Person().seed) as host,
        trio.open_nursery() as nursery,
    ):
        server.serve(PROTOCOL, keep)
        nursery.start_soon(follow_lists, tmp_path, host)
        await trio.testing.wait_all_tasks_blocked(0.05)
        channel = await host.dial(server.addresses[0], PROTOCOL)

        path.write_text(example(f"{server.peer_id} pays late"))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: channel.closed_reason is not None)
        with pytest.raises(DialFailed, match="denied: pays late"):
            await host.dial(server.addresses[0], PROTOCOL)

        path.write_text(example("nobody"))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "stay as they are" in caplog.text)
        with pytest.raises(DialFailed, match="denied: pays late"):
            await host.dial(server.addresses[0], PROTOCOL)

        path.write_text(EXAMPLE)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "0 denied" in caplog.text)
        await host.dial(server.addresses[0], PROTOCOL)
        nursery.cancel_scope.cancel()

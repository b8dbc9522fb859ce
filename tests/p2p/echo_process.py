"""A peer in a process of its own: prints its address and echoes what it hears."""

import os

import trio

from neurogrid_p2p.channel import Channel
from neurogrid_p2p.host import open_host


async def echo(channel: Channel) -> None:
    """Say it back."""
    while True:
        await channel.send(await channel.receive())


async def main() -> None:
    """Serve until killed."""
    async with open_host(os.urandom(32), ["/ip4/127.0.0.1/tcp/0"]) as host:
        host.serve("/test/1", echo)
        print(host.addresses[0], flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main)

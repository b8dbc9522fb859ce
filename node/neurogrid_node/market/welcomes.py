"""Meets coordinators under a name of its own, to hear what software each runs; a running node is not disturbed."""

import trio

from neurogrid_marketplace.envelope import network_id
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.messages import PROTOCOL_ID
from neurogrid_p2p.errors import P2pError
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.session import Party, SignedChannel
from neurogrid_wallet.keys import KeyPair

from ..config import Config
from ..machine.clock import now_ms
from ..upgrade import Met

# Each is met at the same time as the others.
_PATIENCE_S = 15.0


async def meet_coordinators(config: Config) -> tuple[Met, ...]:
    """Those that are listed, as they answer now."""
    stranger = KeyPair.generate()
    party = Party(
        peer_id_of(stranger.public_key),
        network_id(config.chain.genesis_hash, config.chain.program_id),
        stranger.sign,
        now_ms,
    )
    met: dict[str, Met] = {}

    async def meet(host: Host, address: str) -> None:
        met[address] = Met(address, answers=False, problem=f"no answer within {_PATIENCE_S:g} s")
        with trio.move_on_after(_PATIENCE_S):
            met[address] = await _meet(host, address, party)

    async with open_host(stranger.seed) as host, trio.open_nursery() as nursery:
        host.admit(config.peers.lists())
        for address in config.coordinators:
            nursery.start_soon(meet, host, address)
    return tuple(met[address] for address in config.coordinators)


async def _meet(host: Host, address: str, party: Party) -> Met:
    try:
        await host.connect(address)
    except P2pError as error:
        return Met(address, answers=False, problem=str(error))
    try:
        channel = await host.dial(address, PROTOCOL_ID)
        try:
            _, welcome = await SignedChannel.join(channel, party)
        finally:
            channel.abort("its welcome was all we wanted")
    except P2pError as error:
        return Met(address, problem=str(error))
    return Met(address, welcome.software)

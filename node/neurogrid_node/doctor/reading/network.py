"""Dials coordinators and relays, and tries the ports, under a name of its own: a running node is not disturbed."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import trio

from neurogrid_marketplace.envelope import check_envelope, network_id, parse_envelope
from neurogrid_marketplace.errors import RemoteError
from neurogrid_marketplace.messages import PROTOCOL_ID
from neurogrid_p2p.address import Address, is_loopback, is_public, parse_address, reachable_hosts
from neurogrid_p2p.errors import P2pError
from neurogrid_p2p.host import Host, open_host
from neurogrid_wallet.keys import KeyPair

from ...config import Config
from ...machine.clock import now_ms as read_clock
from ..network import CoordinatorFacts, ReachFacts

# Each is dialled at the same time as the others.
_PATIENCE_S = 15.0


async def read_coordinator_facts(
    config: Config, now_ms: Callable[[], int] = read_clock
) -> tuple[CoordinatorFacts, ...]:
    """Who welcomes us, and what time it is there."""
    found: dict[str, CoordinatorFacts] = {}
    network = network_id(config.chain.genesis_hash, config.chain.program_id)

    async def meet(host: Host, address: str) -> None:
        found[address] = CoordinatorFacts(address, f"no answer within {_PATIENCE_S:g} s")
        with trio.move_on_after(_PATIENCE_S):
            found[address] = await _meet(host, address, network, now_ms)

    async with open_host(KeyPair.generate().seed) as host:
        host.admit(config.peers.lists())
        async with trio.open_nursery() as nursery:
            for address in config.coordinators:
                nursery.start_soon(meet, host, address)
    return tuple(found[address] for address in config.coordinators)


async def _meet(
    host: Host, address: str, network: str, now_ms: Callable[[], int]
) -> CoordinatorFacts:
    """The coordinator speaks first, so nothing has to be said to learn its time."""
    try:
        channel = await host.dial(address, PROTOCOL_ID)
        try:
            envelope = parse_envelope(await channel.receive())
        finally:
            channel.abort("doctor has seen enough")
        if envelope.sender != channel.remote_id:
            return CoordinatorFacts(address, "its welcome is somebody else's")
        # Not through a session: that refuses a clock that is wrong, which is what we look for.
        check_envelope(envelope, network)
    except (P2pError, RemoteError) as error:
        return CoordinatorFacts(address, str(error))
    return CoordinatorFacts(address, "", envelope.sent_at_ms - now_ms())


async def read_reach_facts(config: Config, status: Mapping[str, Any] | None) -> ReachFacts:
    """Which ports can be used, where they lead to, and which relays answer.

    Args:
        status: of the running node, which then has the ports and has to answer there, and which the relays have to
            have let in; None if none runs.
    """
    is_running = status is not None
    ports = []
    public, private = [], []
    for text in config.listen:
        address = parse_address(text)
        ports.append((text, await _port_problem(address, is_running=is_running)))
        for reached in (replace(address, host=name) for name in reachable_hosts(address.host)):
            if is_public(reached):
                public.append(str(reached))
            elif not is_loopback(reached):
                private.append(str(reached))
    relays: dict[str, str] = {}

    async def call(host: Host, relay: str) -> None:
        relays[relay] = f"no answer within {_PATIENCE_S:g} s"
        with trio.move_on_after(_PATIENCE_S):
            try:
                connection = await host.connect(relay)
            except P2pError as error:
                relays[relay] = str(error)
            else:
                connection.abort()
                is_let_in = status is None or any(
                    address.startswith(f"{relay}/p2p-circuit") for address in status["reached_at"]
                )
                relays[relay] = "" if is_let_in else "it answers, and has not let the node in"

    async with open_host(KeyPair.generate().seed) as host, trio.open_nursery() as nursery:
        for relay in config.relays:
            nursery.start_soon(call, host, relay)
    return ReachFacts(
        ports=tuple(ports),
        public=tuple(public),
        private=tuple(private),
        relays=tuple(relays.items()),
        wants_callers=config.direct.serve,
    )


async def _port_problem(address: Address, *, is_running: bool) -> str:
    """Why a port cannot be used; "" if it can."""
    try:
        if not is_running:
            return await trio.to_thread.run_sync(_bind, address)
        with trio.fail_after(_PATIENCE_S):
            stream = await trio.open_tcp_stream(reachable_hosts(address.host)[0], address.port)
        await stream.aclose()
    except (OSError, trio.TooSlowError) as error:
        return f"the running node does not answer there: {error}"
    return ""


def _bind(address: Address) -> str:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, kind, number, _, where = found[0]
        with socket.socket(family, kind, number) as trial:
            # As whoever listens there in earnest does: a port whose last connections linger is free.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where)
            trial.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""

"""What the market process is told of coordinator.toml."""

from pathlib import Path

from neurogrid_marketplace.money import parse_usdc

from .config import Config, P2pConfig
from .market.settings import MarketSettings, NodeLimits
from .server.http_server import Place
from .setup import IDENTITY_FILE


def market_settings(config: Config, directory: Path, network: str, place: Place) -> MarketSettings:
    """Settings of the market ``network``.

    Args:
        place: where the api answers, which nodes' files go to.
    """
    return MarketSettings(
        key_file=str(directory / IDENTITY_FILE),
        network=network,
        listen=config.p2p.listen,
        limits=_node_limits(config.p2p),
        dial=config.p2p.dial,
        files=place.local if config.p2p.files else "",
        silence_s=config.timers.silence_s,
        min_stake_micro_usdc=parse_usdc(config.trust.min_stake_usdc),
        relays=config.p2p.relays,
        relay=config.relay.limits,
        announcement=config.discovery.announcement,
        log=config.log.settings.below(directory).beside("market"),
    )


def _node_limits(p2p: P2pConfig) -> NodeLimits:
    return NodeLimits(
        nodes=p2p.nodes,
        connections_per_host=p2p.connections_per_host,
        connections_per_network=p2p.connections_per_network,
        handshakes_per_network=p2p.handshakes_per_network,
        handshake_s=p2p.handshake_s,
        leases_per_node=p2p.leases_per_node,
        messages_per_s=p2p.messages_per_s,
        bytes_per_s=p2p.bytes_per_s,
    )

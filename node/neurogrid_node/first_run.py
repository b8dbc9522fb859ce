"""What a first run has to know before it makes anything. No I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """What was typed, and what an earlier run has left.

    Attributes:
        configured: there is a node.toml.
        coordinator: one is listed, or may be found.
        chain: the market's chain file was named.
        wallet: there is one, backed up.
        sealing: it is known with what passphrase the wallet is sealed, or that it is not.
        backup: it is known where a new wallet is backed up, or that it is not, or an old one is
            brought back.
    """

    configured: bool
    coordinator: bool
    chain: bool
    wallet: bool
    sealing: bool
    backup: bool


def lacking(known: Known) -> list[str]:
    """The options that have to be given where there is nobody to ask, each with its choices."""
    options = []
    if not known.configured:
        if not known.coordinator:
            options.append(
                "--coordinator ADDRESS (or --join PEER_ID with --rendezvous, --dht or --mdns)"
            )
        if not known.chain:
            options.append("--chain FILE")
    if not known.wallet:
        if not known.sealing:
            options.append("--passphrase-file FILE or --no-passphrase")
        if not known.backup:
            options.append("--backup FILE, --restore FILE or --keys-may-be-lost")
    return options

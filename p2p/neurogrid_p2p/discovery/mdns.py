"""Multicast DNS: saying on the local network where we are, and hearing who else is there.

zeroconf speaks it, in threads of its own. A service of type ``_neurogrid._udp``, with the peer's addresses in TXT
records as libp2p has them (``dnsaddr=/ip4/...``). Source: libp2p specification `discovery/mdns`, RFC 6763.
"""

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import trio
from zeroconf import (
    InterfaceChoice,
    IPVersion,
    ServiceBrowser,
    ServiceInfo,
    ServiceListener,
    Zeroconf,
)

from ..errors import AddressInvalid, HandshakeFailed
from .peers import ADDRESSES_MAX, Peer, Scope, peer_at

SERVICE_TYPE = "_neurogrid._udp.local."
# Peers on one network that are looked at in one round; on a larger one, others the next time.
_PEERS_MAX = 64
# How long answers are collected before a round is over, and how long one peer's records may take.
_LISTEN_S = 3.0
_RESOLVE_S = 3.0
_TXT_MAX_BYTES = 255

_T = TypeVar("_T")


class _Heard(ServiceListener):
    """The names of the services that are there now; called in zeroconf's thread."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Somebody is there."""
        if len(self.names) < 4 * _PEERS_MAX:
            self.names[name] = None

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Somebody says something else; it is asked in the next round."""
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Somebody has left."""
        self.names.pop(name, None)


class Mdns:
    """The local network; opened by the first call, and closed by `close`.

    Args:
        interfaces: IP addresses of those that are used; by default all.
    """

    name = "mdns"

    def __init__(self, scope: Scope, interfaces: Sequence[str] = ()) -> None:
        self.scope = scope
        self._interfaces = interfaces
        self._zeroconf: Zeroconf | None = None
        self._info: ServiceInfo | None = None
        self._heard: _Heard | None = None

    async def announce(self, us: Peer) -> float:
        """Be found from now on; returns after how many seconds to say it again.

        Raises:
            P2pError: there is no network.
        """
        zeroconf = await self._open()
        # A name of its own: the peer id in it would be the same wherever the machine goes.
        label = self._info.name.partition(".")[0] if self._info else secrets.token_hex(16)
        addresses = us.addresses[:ADDRESSES_MAX]
        info = ServiceInfo(
            SERVICE_TYPE,
            f"{label}.{SERVICE_TYPE}",
            port=addresses[0].port,
            properties=b"".join(_txt(f"dnsaddr={address}") for address in addresses),
            server=f"{label}.local.",
            parsed_addresses=[
                address.host for address in addresses if address.kind in ("ip4", "ip6")
            ],
        )
        change = zeroconf.update_service if self._info else zeroconf.register_service
        await _in_thread(partial(change, info))
        self._info = info
        return 3600.0

    async def find(self, found: Callable[[Peer], None]) -> None:
        """Call ``found`` with whoever is on the network.

        Raises:
            P2pError: there is no network.
        """
        zeroconf = await self._open()
        if self._heard is None:
            heard = self._heard = _Heard()
            await _in_thread(lambda: ServiceBrowser(zeroconf, SERVICE_TYPE, heard))
        await trio.sleep(_LISTEN_S)
        for name in list(self._heard.names)[:_PEERS_MAX]:
            info = ServiceInfo(SERVICE_TYPE, name)
            # Others do not say everything that zeroconf waits for; the TXT records are enough.
            await _in_thread(partial(info.request, zeroconf, _RESOLVE_S * 1000))
            for peer in _peers(info.text or b"", self.scope):
                found(peer)

    async def close(self) -> None:
        """Say that we leave, and let go of the network."""
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is not None:
            with trio.CancelScope(shield=True):
                await _in_thread(zeroconf.close)

    async def _open(self) -> Zeroconf:
        if self._zeroconf is None:
            interfaces = list(self._interfaces) or InterfaceChoice.All
            self._zeroconf = await _in_thread(
                lambda: Zeroconf(interfaces, ip_version=IPVersion.V4Only)
            )
        return self._zeroconf


async def _in_thread(function: Callable[[], _T]) -> _T:
    try:
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True)
    except Exception as error:
        # zeroconf's errors, sockets' and its event loop's have no common base.
        raise HandshakeFailed(f"multicast DNS: {type(error).__name__}: {error}") from error


def _txt(text: str) -> bytes:
    data = text.encode()
    assert len(data) <= _TXT_MAX_BYTES, "addresses are shorter"
    return bytes([len(data)]) + data


def _peers(text: bytes, scope: Scope) -> list[Peer]:
    """The peers that TXT records name; usually one, with each of its addresses."""
    found: dict[str, Peer] = {}
    position = 0
    for _ in range(ADDRESSES_MAX):
        if position >= len(text):
            break
        length = text[position]
        piece = text[position + 1 : position + 1 + length]
        position += 1 + length
        try:
            peer = peer_at(piece.removeprefix(b"dnsaddr=").decode("ascii"))
        except (AddressInvalid, UnicodeDecodeError):
            continue
        if scope.takes(peer.addresses[0]):
            known = found.get(peer.peer_id, Peer(peer.peer_id, ()))
            found[peer.peer_id] = Peer(peer.peer_id, known.addresses + peer.addresses)
    return list(found.values())

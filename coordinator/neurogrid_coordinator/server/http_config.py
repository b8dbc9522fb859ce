"""``[http]`` and ``[requests]`` of coordinator.toml: where the REST API is, and how much it takes from whom."""

import ipaddress
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta

from ..api.client_address import Proxies, ProxyHeader
from ..config_section import Listen, Positive, Section, UrlOrEmpty
from .request_rules import Kind, RequestRules

_Network = Annotated[str, Meta(max_length=64)]
# What a browser sends as Origin: no path, no slash at the end.
_WebOrigin = Annotated[str, Meta(pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?\Z", max_length=300)]
# "free 100"
_Tier = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31} (0|[1-9][0-9]{0,8})\Z")]
_TierName = Annotated[str, Meta(pattern=r"^([a-z][a-z0-9_-]{0,31})?\Z")]
_PerMinute = Annotated[int, Meta(ge=0, le=10**9)]


class HttpConfig(Section, frozen=True):
    """The REST API, and the connections to it."""

    listen: Listen = "127.0.0.1:8080"
    public_url: UrlOrEmpty = ""
    internal_url: UrlOrEmpty = ""
    trusted_proxies: Annotated[tuple[_Network, ...], Meta(max_length=64)] = ()
    proxy_header: ProxyHeader = "x-forwarded-for"
    cors_origins: Annotated[tuple[_WebOrigin, ...], Meta(max_length=64)] = ()
    connections: Positive = 10_000
    connections_per_address: Annotated[int, Meta(ge=0)] = 100
    websockets_per_address: Positive = 10
    head_s: Annotated[int, Meta(ge=1, le=300)] = 15
    idle_s: Annotated[int, Meta(ge=1, le=600)] = 20
    readers: Annotated[int, Meta(ge=0, le=64)] = 0

    @property
    def host(self) -> str:
        """The host part of ``listen``, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port part of ``listen``."""
        return int(self.listen.rpartition(":")[2])

    @property
    def proxies(self) -> Proxies:
        """Who is believed whose request it is.

        Raises:
            ValueError: one is no address and no network.
        """
        networks = tuple(ipaddress.ip_network(text) for text in self.trusted_proxies)
        return Proxies(networks, self.proxy_header)


class RequestsConfig(Section, frozen=True):
    """How many requests are taken; see `RequestRules`."""

    tiers: Annotated[tuple[_Tier, ...], Meta(max_length=64)] = ("free 100", "pro 1000")
    default_tier: _TierName = "free"
    submissions_per_minute: _PerMinute = 0
    uploads_per_minute: _PerMinute = 0
    per_address_per_minute: _PerMinute = 10_000
    strangers_per_address_per_minute: _PerMinute = 1000

    @property
    def rules(self) -> RequestRules:
        """As they are kept to.

        Raises:
            ValueError: a tier is there twice, or the default is none of them.
        """
        tiers = {name: int(number) for name, _, number in (t.partition(" ") for t in self.tiers)}
        if len(tiers) != len(self.tiers):
            raise ValueError("requests.tiers: a tier is named twice")
        if self.default_tier and self.default_tier not in tiers:
            raise ValueError(f"requests.default_tier: {self.default_tier} is none of the tiers")
        return RequestRules(
            tiers=MappingProxyType(tiers),
            default_tier=self.default_tier,
            kinds=MappingProxyType(
                {
                    Kind.SUBMISSIONS: self.submissions_per_minute,
                    Kind.UPLOADS: self.uploads_per_minute,
                }
            ),
            per_address=self.per_address_per_minute,
            strangers_per_address=self.strangers_per_address_per_minute,
        )

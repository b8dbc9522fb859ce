"""Which registries a node fetches images from: its owner's list. Pure.

Whoever submits a task names a host, and the engine stands inside its owner's network: ``*`` is every
registry of the internet, and none whose name or address is a private network's. Those are listed by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from neurogrid_marketplace.addresses import is_public
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.image_name import ImageName

EVERY: Final = "*"
LISTED_MAX: Final = 64
_ANY_PORT: Final = ":*"
# Names that a network gives its own machines: RFC 6761, RFC 6762, RFC 8375, ICANN's .internal, and habit.
_LOCAL_ENDS: Final = (
    *(".localhost", ".local", ".home.arpa", ".internal"),
    *(".lan", ".home", ".corp", ".intranet", ".test", ".invalid"),
)


@dataclass(frozen=True, slots=True)
class RegistryRules:
    """
    Attributes:
        hosts: such as ``images.example.com``, ``registry.lan:5000``, ``registry.lan:*`` (at any port), ``*.example.org``,
            or `EVERY`.
    """

    hosts: tuple[str, ...] = (EVERY,)

    @classmethod
    def read(cls, texts: Sequence[str]) -> "RegistryRules":
        """An owner's list.

        Raises:
            InvalidValue: one is no host; the message shows how to write it.
        """
        for text in texts:
            host = text.removeprefix("*.") if text != EVERY else "example.org"
            host = host.removesuffix(_ANY_PORT)
            try:
                known = ImageName.read(f"{host}/any").registry
            except InvalidValue:
                known = ""
            if not known or known != host:
                raise InvalidValue(
                    f"{text[:80]!r} is no registry: write its host, such as docker.io, images.example.com, "
                    "registry.lan:5000 or *.example.org; * for every one of the internet"
                )
        return cls(tuple(texts))

    def allows(self, registry: str) -> bool:
        """Whether images are fetched from there."""
        if self.names(registry):
            return True
        return is_of_internet(registry) and any(
            registry.endswith(host[1:]) for host in self.hosts if host.startswith(EVERY)
        )

    def names(self, registry: str) -> bool:
        """Whether it is listed by its very name: then it may be in a private network."""
        return registry in self.hosts or registry.partition(":")[0] + _ANY_PORT in self.hosts


EVERY_REGISTRY: Final = RegistryRules()


def is_of_internet(registry: str) -> bool:
    """Whether a host, by what is written, may be one of the public internet."""
    host = registry.partition(":")[0]
    try:
        return is_public(ip_address(host))
    except ValueError:
        pass
    # All digits and dots, and yet no address: what some resolvers read as one (127.1).
    if host.rpartition(".")[2].isdigit():
        return False
    return "." in host and not host.endswith(_LOCAL_ENDS)

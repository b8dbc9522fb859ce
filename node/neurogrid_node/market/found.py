"""The coordinators that were found and joined: which may be, which are kept, and where they are reached.

Pure but for `load` and `save`. Of a coordinator that was found, nothing is believed but what it has signed.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from neurogrid_marketplace.advert import Advert, check_advert, parse_advert
from neurogrid_marketplace.errors import RemoteError
from neurogrid_marketplace.fields import plain
from neurogrid_p2p.discovery.peers import Scope
from neurogrid_wallet.secret_file import write_secret_file

from ..settings.network import DiscoveryConfig

FILE_NAME = "found-coordinators.json"
LAN_SOURCE = "mdns"
# A stranger that has not been connected for so long makes room for another one.
IDLE_MS = 10 * 60 * 1000
_FILE_MAX_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class FoundCoordinator:
    """One that was joined.

    Attributes:
        source: where it was heard of last.
        addresses: those of its advert that may be dialled.
        connected_at_ms: when it was last connected, or else when it was joined.
    """

    advert: Advert
    source: str
    addresses: tuple[str, ...]
    connected_at_ms: int


@dataclass(frozen=True, slots=True)
class Rules:
    """Whom this node joins.

    Attributes:
        listed: coordinators that it dials anyway.
        refused: why the lists of peers refuse one; None if they do not.
    """

    config: DiscoveryConfig
    network: str
    listed: frozenset[str]
    refused: Callable[[str], str | None]

    def usable(self, advert: Advert, source: str) -> tuple[str, ...]:
        """The addresses that are dialled when ``source`` tells of them."""
        scope = Scope(private=self.config.private, on_lan=source == LAN_SOURCE)
        return scope.usable(advert.addresses)

    def refusal(self, advert: Advert, source: str) -> str:
        """Why a coordinator is not joined, whoever else is; "" if it may be."""
        coordinator = advert.coordinator
        if coordinator in self.listed:
            return "it is one of the coordinators that are listed"
        refused = self.refused(coordinator)
        if refused is not None:
            return f"[peers]: {refused}"
        if not self.usable(advert, source):
            return "none of its addresses is one of the internet ([discovery] private)"
        if coordinator not in self.config.join and not self.config.strangers:
            return "it is not on the list [discovery] join, and strangers is 0"
        return ""


@dataclass(frozen=True, slots=True)
class Found:
    """All that were joined, by peer id; bounded by the rules."""

    joined: Mapping[str, FoundCoordinator] = field(default_factory=dict)

    def heard(
        self,
        rules: Rules,
        advert: Advert,
        source: str,
        now_ms: int,
        is_busy: Callable[[str], bool],
    ) -> tuple["Found", str]:
        """After an advert that has been checked; and why its coordinator is not joined, "" if it is.

        Args:
            is_busy: whether a coordinator is connected or has leases here.
        """
        why = rules.refusal(advert, source)
        if why:
            return self, why
        coordinator = advert.coordinator
        known = self.joined.get(coordinator)
        if known is not None and known.advert.issued_at_ms >= advert.issued_at_ms:
            return self, ""  # what is passed on may be older than what we have
        joined = dict(self.joined)
        if known is None and coordinator not in rules.config.join:
            strangers = [each for each in joined if each not in rules.config.join]
            if len(strangers) >= rules.config.strangers:
                idle = min(strangers, key=lambda each: joined[each].connected_at_ms)
                is_idle = joined[idle].connected_at_ms + IDLE_MS <= now_ms and not is_busy(idle)
                if not is_idle:
                    return self, f"{len(strangers)} strangers are joined already"
                del joined[idle]
        joined[coordinator] = FoundCoordinator(
            advert,
            source,
            rules.usable(advert, source),
            now_ms if known is None else known.connected_at_ms,
        )
        return Found(joined), ""

    def looked(
        self, rules: Rules, now_ms: int, connected: Iterable[str], has_leases: Callable[[str], bool]
    ) -> "Found":
        """After a look at who is connected: those whose advert is over and who are away are forgotten.

        So are those that the rules, which may have changed since, do not allow any more. None that has
        leases here is.
        """
        here = frozenset(connected)
        kept = {}
        for coordinator, each in self.joined.items():
            if coordinator in here:
                kept[coordinator] = replace(each, connected_at_ms=now_ms)
            elif has_leases(coordinator) or (
                each.advert.expires_at_ms > now_ms and not rules.refusal(each.advert, each.source)
            ):
                kept[coordinator] = each
        return Found(kept)


def save(directory: Path, found: Found) -> None:
    """Write them down, for a start at which nobody can be asked.

    Raises:
        SecretFileError: the disk refuses.
    """
    document = [
        {
            "advert": plain(each.advert),
            "source": each.source,
            "connected_at_ms": each.connected_at_ms,
        }
        for each in found.joined.values()
    ]
    content = json.dumps({"version": 1, "coordinators": document}, indent=2).encode() + b"\n"
    write_secret_file(directory / FILE_NAME, content, overwrite=True)


def load(directory: Path, rules: Rules) -> tuple[Found, str]:
    """What was written down; and what is wrong with the file, "" if nothing is.

    Adverts that are over are read, too: `Found.looked` says whether they are needed.
    """
    path = directory / FILE_NAME
    joined = {}
    try:
        if not path.exists():
            return Found(), ""
        with path.open("rb") as file:
            document = json.loads(file.read(_FILE_MAX_BYTES))
        if document["version"] != 1:
            return Found(), f"{path}: written by another version"
        for item in document["coordinators"]:
            advert = parse_advert(item["advert"])
            # As of when it was made: nobody but its coordinator can have made it then, either.
            check_advert(advert, rules.network, advert.issued_at_ms)
            source, connected_at_ms = str(item["source"]), int(item["connected_at_ms"])
            addresses = rules.usable(advert, source)
            if addresses:
                joined[advert.coordinator] = FoundCoordinator(
                    advert, source, addresses, connected_at_ms
                )
    except (OSError, ValueError, KeyError, TypeError, RemoteError) as error:
        return Found(), f"{path} is not used: {type(error).__name__}: {error}"
    return Found(joined), ""

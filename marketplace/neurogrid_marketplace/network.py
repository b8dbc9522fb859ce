"""What network a job may use: the hosts that its task lists, of those that a node's owner allows.

A rule is a name and ports: ``example.org``, ``*.example.com`` (names below it, not it), ``example.com:8443``.
Without a port it stands for 443 and 80. Owners may also write ``*`` for any name and ``:*`` for any port.
Names only, never addresses: what a name leads to is checked by the node that connects
(`neurogrid_node.egress`). docs/egress.md says what a job finds.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

from .errors import InvalidValue
from .fields import Bytes, Count

MAX_RULES = 32
MAX_OWNER_RULES = 64
MAX_HOSTS_REPORTED = 32
MAX_REFUSALS_REPORTED = 32
DEFAULT_PORTS = (443, 80)
# Where a job finds its proxy, in a network of its own; images/egress-link/link.c has it, too.
PROXY_URL = "http://127.0.0.1:3128"
_ANY_NAME = "*"
_ANY_PORT = "*"
_NAME_CHARS_MAX = 253

# The last label begins with a letter: what ends in a number is an address to somebody (WHATWG URL,
# "ends in a number checker": 127.1, 2130706433, 0x7f.1).
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = rf"({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?"
_HOST_NAME = re.compile(_NAME, re.ASCII)
_RULE = re.compile(rf"(?P<name>(\*\.)?{_NAME})(:(?P<port>[1-9][0-9]{{0,4}}))?", re.ASCII)
_OWNER_RULE = re.compile(
    rf"(?P<name>\*|(\*\.)?{_NAME})(:(?P<port>\*|[1-9][0-9]{{0,4}}))?", re.ASCII
)

# What travels is bounded here; `HostRule` reads it, and is stricter.
NetworkRule = Annotated[str, Meta(pattern=r"^[a-z0-9*._:-]{1,262}\Z")]
# As a job asked for it, which need be no name.
AskedHost = Annotated[str, Meta(pattern=r"^[!-~]{0,255}\Z")]
Port = Annotated[int, Meta(ge=0, le=65_535)]

# Ports that browsers refuse because what listens there takes an HTTP request for something else
# (https://fetch.spec.whatwg.org/#port-blocking: mail at 25, 465 and 587, telnet, SSH, IRC, SIP, X11 and
# others), and beside them DCOM and SMB (135, 445), submission's other port (2525) and RDP (3389).
NEVER_PORTS = frozenset(
    (
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95),
        *(101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161),
        *(179, 389, 427, 445, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556),
        *(563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 2525, 3389, 3659, 4045),
        *(4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080),
    )
)


class Refused(StrEnum):
    """Why a node's proxy did not let a connection of a job be; `REFUSALS` says what each means."""

    BAD_REQUEST = "bad_request"
    ADDRESS = "address_not_name"
    NOT_LISTED = "host_not_listed"
    UNRESOLVED = "name_not_found"
    NOT_PUBLIC = "address_not_public"
    UNREACHABLE = "unreachable"
    NO_TLS = "no_tls"
    OTHER_NAME = "other_name_in_tls"
    VOLUME = "volume_used_up"
    TOO_SLOW = "too_slow"


REFUSALS: dict[Refused, str] = {
    Refused.BAD_REQUEST: "no request that a proxy takes",
    Refused.ADDRESS: "an address, where only names are taken",
    Refused.NOT_LISTED: "a host or port that is not on the task's list",
    Refused.UNRESOLVED: "no address was found for the name",
    Refused.NOT_PUBLIC: "the name leads to no address of the public internet",
    Refused.UNREACHABLE: "nothing answered there",
    Refused.NO_TLS: "a tunnel that did not begin with TLS",
    Refused.OTHER_NAME: "TLS for another name than the tunnel was asked for",
    Refused.VOLUME: "the node's limit of bytes for one job was reached",
    Refused.TOO_SLOW: "the request did not come in time",
}


def is_host_name(text: str) -> bool:
    """Whether a connection may be asked for by this name: ASCII, in lower case, no address."""
    return len(text) <= _NAME_CHARS_MAX and _HOST_NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class HostRule:
    """Names and ports.

    Attributes:
        name: exact, or ``*.`` and what they end in, or ``*``.
        ports: empty: any.
    """

    name: str
    ports: tuple[int, ...] = DEFAULT_PORTS

    @classmethod
    def read(cls, text: str) -> "HostRule":
        """A task's rule.

        Raises:
            InvalidValue: says what is wrong with it.
        """
        found = _RULE.fullmatch(text)
        if found is None:
            raise InvalidValue(f"{text[:80]!r} is no host: {_advice(text)}")
        return _rule(text, found)

    @classmethod
    def read_owners(cls, text: str, ports: tuple[int, ...] = DEFAULT_PORTS) -> "HostRule":
        """An owner's rule.

        Args:
            ports: those of a rule without any; empty: all.

        Raises:
            InvalidValue: says what is wrong with it.
        """
        found = _OWNER_RULE.fullmatch(text)
        if found is None:
            raise InvalidValue(f"{text[:80]!r} is no rule: {_advice(text)}, * or *:*")
        return _rule(text, found, ports)

    def matches(self, host: str, port: int) -> bool:
        """Whether a host, in lower case, may be reached at a port by this rule."""
        return (not self.ports or port in self.ports) and self._names(host)

    def covers(self, other: "HostRule") -> bool:
        """Whether this matches everything that the other does."""
        if self.ports and not (other.ports and set(other.ports) <= set(self.ports)):
            return False
        if other.name == _ANY_NAME:
            return self.name == _ANY_NAME
        return self._names(other.name)

    def meets(self, other: "HostRule") -> bool:
        """Whether anything is matched by both."""
        if self.ports and other.ports and not set(self.ports) & set(other.ports):
            return False
        return self._names(other.name) or other._names(self.name)

    def _names(self, name: str) -> bool:
        """Whether all of these are its names; ``name`` may itself stand for those below one."""
        if self.name.startswith("*."):
            # "*.b.example.com" ends as "*.example.com" does, and "example.com" does not.
            return name.endswith(self.name[1:])
        return self.name in (_ANY_NAME, name)


def _rule(text: str, found: re.Match[str], ports: tuple[int, ...] = DEFAULT_PORTS) -> HostRule:
    name, port = found["name"], found["port"]
    if len(name.removeprefix("*.")) > _NAME_CHARS_MAX:
        raise InvalidValue(f"{text[:80]!r}: a name has at most {_NAME_CHARS_MAX} characters")
    if port is None:
        return HostRule(name, ports)
    if port == _ANY_PORT:
        return HostRule(name, ())
    number = int(port)
    if number > 65_535:
        raise InvalidValue(f"{text!r}: a port is at most 65535")
    if number in NEVER_PORTS:
        raise InvalidValue(f"{text!r}: no job reaches port {number} from anybody's machine")
    return HostRule(name, (number,))


def _advice(text: str) -> str:
    if not text.isascii():
        return "write a name of other letters as DNS has it (xn--...)"
    if text != text.lower():
        return "write it in lower case"
    if text.endswith(".") or "://" in text or "/" in text:
        return "write the name alone, as in example.org or *.example.com:8443"
    return (
        "write a name with a dot, as in example.org or *.example.com:8443; addresses are not taken"
    )


@dataclass(frozen=True, slots=True)
class Network:
    """What a task asks for: hosts that its job may reach through the node's proxy.

    Raises:
        InvalidValue: an entry is no rule, or stands there twice.
    """

    allow: Annotated[tuple[NetworkRule, ...], Meta(min_length=1, max_length=MAX_RULES)]

    def __post_init__(self) -> None:
        if len({HostRule.read(text) for text in self.allow}) != len(self.allow):
            raise InvalidValue("a host is listed twice")

    @classmethod
    def asked(cls, allow: Iterable[str]) -> "Network":
        """What a client has typed: names are the same in any case.

        Raises:
            InvalidValue: as of the class.
        """
        return cls(tuple(text.lower() for text in allow))

    @property
    def rules(self) -> tuple[HostRule, ...]:
        """What the texts say."""
        return _rules_of(self.allow)

    def environment(self, given: Collection[str], near: Collection[str] = ()) -> dict[str, str]:
        """What the job's container is told, in the names that programs look for.

        Args:
            given: names that the client has set: of the customary ones, those stay.
            near: hosts and addresses that it reaches without the proxy, as other members of its gang.
        """
        around = ",".join(("localhost", "127.0.0.1", "::1", *near))
        customary = {"http_proxy": PROXY_URL, "https_proxy": PROXY_URL, "no_proxy": around}
        both_cases = customary | {name.upper(): value for name, value in customary.items()}
        return {name: value for name, value in both_cases.items() if name not in given} | {
            "NEUROGRID_PROXY": PROXY_URL
        }

    def admits(self, host: str, port: int) -> bool:
        """Whether the job may reach a host at a port; mail and the like never."""
        return port not in NEVER_PORTS and any(rule.matches(host, port) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class NetworkTerms:
    """What a node's owner lets jobs reach.

    Attributes:
        allow: rules; empty: any name, at ports 443 and 80.
        deny: rules that count before these; without a port they stand for all ports.
        job_bytes: what one job may move, both ways together.
        mbit_per_s: how fast.

    Raises:
        InvalidValue: an entry is no rule.
    """

    allow: Annotated[tuple[NetworkRule, ...], Meta(max_length=MAX_OWNER_RULES)]
    deny: Annotated[tuple[NetworkRule, ...], Meta(max_length=MAX_OWNER_RULES)]
    job_bytes: Bytes
    mbit_per_s: Annotated[int, Meta(ge=1, le=1_000_000)]

    def __post_init__(self) -> None:
        _owners_rules(self.allow, DEFAULT_PORTS)
        _owners_rules(self.deny, ())

    def refused(self, network: Network) -> str | None:
        """The first of a task's hosts that is not let through as a whole; None: all are.

        A node that takes a task lets its job reach all that it lists.
        """
        allow = _owners_rules(self.allow or (_ANY_NAME,), DEFAULT_PORTS)
        deny = _owners_rules(self.deny, ())
        for text, rule in zip(network.allow, network.rules, strict=True):
            if any(no.meets(rule) for no in deny) or not any(yes.covers(rule) for yes in allow):
                return text
        return None


def missed(terms: NetworkTerms | None, wanted: Network | None) -> str:
    """How a node misses what a task wants to reach, as words after "it"; "" if it does not."""
    if wanted is None:
        return ""
    if terms is None:
        return "lets jobs reach no network"
    refused = terms.refused(wanted)
    return f"does not let jobs reach {refused}" if refused else ""


@lru_cache(maxsize=256)
def _rules_of(texts: tuple[str, ...]) -> tuple[HostRule, ...]:
    return tuple(HostRule.read(text) for text in texts)


@lru_cache(maxsize=1024)
def _owners_rules(texts: tuple[str, ...], ports: tuple[int, ...]) -> tuple[HostRule, ...]:
    return tuple(HostRule.read_owners(text, ports) for text in texts)


@dataclass(frozen=True, slots=True)
class HostUse:
    """What a job did with one host; bytes as the proxy passed them on."""

    host: AskedHost
    port: Port
    connections: Count
    sent_bytes: Bytes
    received_bytes: Bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a job was not let do, and how often; the host as it asked for it, "" where there is none."""

    host: AskedHost
    port: Port
    reason: Refused
    count: Count


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """What a job did with its network, in its result.

    Attributes:
        connections, sent_bytes, received_bytes: of all, those that are not listed too.
        hosts: the first that it reached.
        refusals: the first that there were; refused: how many in all.
    """

    connections: Count = 0
    sent_bytes: Bytes = 0
    received_bytes: Bytes = 0
    refused: Count = 0
    hosts: Annotated[tuple[HostUse, ...], Meta(max_length=MAX_HOSTS_REPORTED)] = ()
    refusals: Annotated[tuple[Refusal, ...], Meta(max_length=MAX_REFUSALS_REPORTED)] = ()

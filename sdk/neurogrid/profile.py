"""Which coordinator to talk to, and with which key.

In this order: what the caller passes, the ``network.json`` that `neurogrid devnet up` wrote (passed,
or named by NEUROGRID_NETWORK), the environment variables NEUROGRID_API_URL and NEUROGRID_API_KEY, the profile of
`profiles_file` that NEUROGRID_PROFILE names, or its current one. A profile that the caller names goes before the environment.
In place of a key, an application of the account's has NEUROGRID_CLIENT_ID and NEUROGRID_CLIENT_SECRET (OAuth 2).
NEUROGRID_WALLET_KEY names the wallet's key file (Solana's format), and NEUROGRID_CHAIN the market's chain.json; a devnet's
network.json has both.
There is no built-in address: a key must never go to a host that its owner did not name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from .errors import ConfigurationError
from .profiles_file import PROFILE_VARIABLE, NamedProfile, profiles_path, read_profiles

API_URL_VARIABLE = "NEUROGRID_API_URL"
API_KEY_VARIABLE = "NEUROGRID_API_KEY"
NETWORK_VARIABLE = "NEUROGRID_NETWORK"
CLIENT_ID_VARIABLE = "NEUROGRID_CLIENT_ID"
CLIENT_SECRET_VARIABLE = "NEUROGRID_CLIENT_SECRET"
WALLET_KEY_VARIABLE = "NEUROGRID_WALLET_KEY"
CHAIN_VARIABLE = "NEUROGRID_CHAIN"
_API_PATH = "/api/v1"


@dataclass(frozen=True, slots=True)
class Profile:
    """An address (without ``/api/v1``) and a key; ``repr`` hides the key.

    Attributes:
        application: id and secret of an application, in place of a key; ``api_key`` is empty then.
        wallet_key: the wallet's key file, that signs what the coordinator wants signed; None where it is
            not at hand.
        chain: the market's chain.json, by which what is signed is read first; None where it is not at hand.
    """

    base_url: str
    api_key: str
    wallet_key: Path | None = None
    application: tuple[str, str] | None = None
    chain: Path | None = None

    def __repr__(self) -> str:
        return f"Profile(base_url={self.base_url!r}, api_key={self.api_key[:6] + '…'!r})"


class _Network(msgspec.Struct):
    """The part of network.json that a client needs."""

    api_url: str
    api_key: str
    client_keypair: str = ""
    chain: str = ""


def find_profile(
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    network: Path | None = None,
    profile: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Profile:
    """The profile to use.

    Args:
        profile: the name of one in the file of profiles.

    Raises:
        ConfigurationError: an address or a key is missing, or network.json or the file of profiles can't be read, or has
            no such profile.
    """
    named = environment.get(NETWORK_VARIABLE)
    if network is None and profile is None and named and not (base_url and api_key):
        network = Path(named)
    file = _read_network(network) if network is not None else None
    if profile is not None and file is None:
        file = _fitting(read_profiles(profiles_path(environment)).named(profile), base_url)
    url = base_url or (file.api_url if file else environment.get(API_URL_VARIABLE))
    key = api_key or (file.api_key if file else environment.get(API_KEY_VARIABLE))
    if file is None and not (url and (key or environment.get(CLIENT_ID_VARIABLE))):
        kept = _kept(environment)
        file = _fitting(kept, url) if kept is not None else None
        if file is not None:
            url, key = url or file.api_url, key or file.api_key
    if not url:
        raise ConfigurationError(
            f"no coordinator is named: run `neurogrid configure`, set {API_URL_VARIABLE}, or use the network.json of a devnet"
        )
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{url!r} is not an address: it starts with http:// or https://")
    application = None
    if not key:
        application = application_of(environment)
    if not key and application is None:
        raise ConfigurationError(
            f"no API key is given: run `neurogrid configure`, set {API_KEY_VARIABLE} (or {CLIENT_ID_VARIABLE} and {CLIENT_SECRET_VARIABLE}), or use the network.json of a devnet"
        )
    wallet_key = environment.get(WALLET_KEY_VARIABLE) or (file.client_keypair if file else "")
    chain = environment.get(CHAIN_VARIABLE) or (file.chain if file else "")
    return Profile(
        _origin(url),
        key or "",
        Path(wallet_key) if wallet_key else None,
        application,
        Path(chain) if chain else None,
    )


def _kept(environment: Mapping[str, str]) -> NamedProfile | None:
    """The profile that the environment names, or the current one; None: there is none."""
    name = environment.get(PROFILE_VARIABLE)
    profiles = read_profiles(profiles_path(environment))
    if name:
        return profiles.named(name)
    return profiles.profiles.get(profiles.current)


def _fitting(profile: NamedProfile, url: str | None) -> "_Network | None":
    """What is to be used of a profile: nothing where another address is named, which its key must never go to."""
    if url and _origin(url) != _origin(profile.api_url):
        return None
    return _Network(profile.api_url, profile.api_key, profile.wallet_key)


def _origin(url: str) -> str:
    return url.rstrip("/").removesuffix(_API_PATH)


def application_of(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Id and secret of the application that the environment names; None: it names none.

    Raises:
        ConfigurationError: one of the two is missing.
    """
    names = (CLIENT_ID_VARIABLE, CLIENT_SECRET_VARIABLE)
    found = [environment.get(name, "") for name in names]
    if not any(found):
        return None
    for name, value in zip(names, found, strict=True):
        if not value:
            raise ConfigurationError(f"{name} is missing: an application has an id and a secret")
    return found[0], found[1]


def _read_network(path: Path) -> _Network:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Network)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{path} is no network.json: {error}") from error

"""The file of named profiles: which coordinators a person uses, and with which keys.

    current = "default"

    [profiles.default]
    api_url = "https://api.example.org"
    api_key = "ng_..."

``$XDG_CONFIG_HOME/neurogrid/config.toml``, else below ``~/.config``; only its owner may read it. `neurogrid configure`
writes it. A profile's key goes to the profile's own address and to no other.
"""

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from .errors import ConfigurationError

PROFILE_VARIABLE = "NEUROGRID_PROFILE"
DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
# Some hundred profiles; a file that is larger is not ours.
_BYTES_MAX = 256 * 1024
_OWNERS_ALONE = 0o600


@dataclass(frozen=True, slots=True)
class NamedProfile:
    """Where, with which key, and perhaps the wallet's key file."""

    api_url: str
    api_key: str = field(repr=False)
    wallet_key: str = ""

    def hint(self) -> str:
        """The beginning of the key: enough to tell it from others."""
        return f"{self.api_key[:7]}…" if self.api_key else "none"


@dataclass(frozen=True, slots=True)
class ProfilesFile:
    """What the file says.

    Attributes:
        current: the profile that is used where none is named.
    """

    current: str = DEFAULT
    profiles: Mapping[str, NamedProfile] = field(default_factory=dict)

    def with_profile(self, name: str, profile: NamedProfile) -> "ProfilesFile":
        """The same with this profile; the first one becomes the current.

        Raises:
            ConfigurationError: the name can't be one.
        """
        if not _NAME.match(name):
            raise ConfigurationError(
                f"{name!r} is no name of a profile: letters, digits, - and _, at most 64"
            )
        current = self.current if self.current in self.profiles else name
        return ProfilesFile(current, {**self.profiles, name: profile})

    def using(self, name: str) -> "ProfilesFile":
        """The same with another current one.

        Raises:
            ConfigurationError: there is no such profile.
        """
        self.named(name)
        return replace(self, current=name)

    def without(self, name: str) -> "ProfilesFile":
        """The same without this one.

        Raises:
            ConfigurationError: there is no such profile.
        """
        self.named(name)
        rest = {each: profile for each, profile in self.profiles.items() if each != name}
        current = next(iter(rest), DEFAULT) if self.current == name else self.current
        return ProfilesFile(current, rest)

    def named(self, name: str) -> NamedProfile:
        """A profile.

        Raises:
            ConfigurationError: there is no such profile.
        """
        if name not in self.profiles:
            known = ", ".join(self.profiles) or "none"
            raise ConfigurationError(
                f"there is no profile {name!r} (there are: {known}): "
                f"`neurogrid configure --profile {name}` makes it"
            )
        return self.profiles[name]

    def text(self) -> str:
        """As TOML."""
        lines = [f"current = {_quoted(self.current)}"]
        for name, profile in self.profiles.items():
            lines += [
                "",
                f"[profiles.{name}]",
                f"api_url = {_quoted(profile.api_url)}",
                f"api_key = {_quoted(profile.api_key)}",
            ]
            if profile.wallet_key:
                lines.append(f"wallet_key = {_quoted(profile.wallet_key)}")
        return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A JSON string is one of TOML's, but for pairs of surrogates and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def profiles_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the file is."""
    home = environment.get("XDG_CONFIG_HOME")
    folder = Path(home) if home else Path.home() / ".config"
    return folder / "neurogrid" / "config.toml"


def read_profiles(path: Path) -> ProfilesFile:
    """The file; without one there are no profiles.

    Raises:
        ConfigurationError: it can't be read, or is not of its form; says what to do.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        return ProfilesFile()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    if len(content) > _BYTES_MAX:
        raise ConfigurationError(f"{path} is no file of profiles: it is larger than 256 KiB")
    try:
        return _parsed(tomllib.loads(content.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f"{path} is no file of profiles ({error}): mend it, or remove it and run `neurogrid configure`"
        ) from error


def _parsed(document: dict[str, object]) -> ProfilesFile:
    current, tables = document.get("current", DEFAULT), document.get("profiles", {})
    if not isinstance(current, str) or not isinstance(tables, dict):
        raise TypeError("current is a name, and profiles are tables")
    return ProfilesFile(current, {name: _profile(name, table) for name, table in tables.items()})


def _profile(name: str, table: object) -> NamedProfile:
    if not isinstance(table, dict):
        raise TypeError(f"profiles.{name} is no table")
    url, key, wallet = table.get("api_url"), table.get("api_key"), table.get("wallet_key", "")
    if not isinstance(url, str) or not isinstance(key, str) or not isinstance(wallet, str):
        raise TypeError(f"profiles.{name} has api_url and api_key, as texts")
    return NamedProfile(url, key, wallet)


def write_profiles(path: Path, file: ProfilesFile) -> None:
    """Replace the file whole, readable by its owner alone, whatever it was.

    Raises:
        OSError: it can't be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made with 0600 by mkstemp; a reader sees the old file or the new one.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".config-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as target:
            target.write(file.text())
            target.flush()
            os.fsync(target.fileno())
        Path(name).chmod(_OWNERS_ALONE)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

"""Section of coordinator.toml: the models that clients can ask for by name."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import Catalogue, ModelName, parse_catalogue
from neurogrid_marketplace.model_server import ModelServer
from neurogrid_marketplace.money import parse_usdc

from .config_section import Section
from .model_checks.settings import CheckSettings
from .paid_use.leases import UseSettings
from .replicas.orders import ReplicaSettings
from .services.models import ModelSettings

CATALOGUE_NAME = "models.toml"
# As many as a message lists.
_IDS_SHOWN_MAX = 50
# Five hundred entries at their longest are less.
_FILE_BYTES_MAX = 4 * 1024 * 1024

# An account, by its id or wallet.
_AccountName = Annotated[str, Meta(pattern=r"^(acct_[0-9a-f]{32}|[1-9A-HJ-NP-Za-km-z]{32,44})?\Z")]


class ModelsConfig(Section, frozen=True):
    """The catalogue: a file beside coordinator.toml; empty: the one that this release ships.

    Attributes:
        aliases: other names for models, beside those that the catalogue says: "NAME=ID".
        replicas: whether warm servers of models are kept; account: whose deposit pays for them, an account's id or wallet;
            replica_hours: how long one runs before another takes its place; replica_idle_s: without a request for so long,
            one goes, 0: as the catalogue says of each; use_escrow_usdc: what an account's escrow for
            asking one holds; use_idle_s: without a request for so long, it is settled.
        check_percent, check_account, check_usdc_per_day, check_trusted, check_within_s: see `CheckSettings`; without an
            account of its own the one that pays for replicas checks.
    """

    catalogue: Annotated[str, Meta(max_length=1000)] = ""
    aliases: Annotated[tuple[Annotated[str, Meta(max_length=300)], ...], Meta(max_length=500)] = ()
    wait_s: Annotated[int, Meta(ge=1, le=3600)] = 300
    batch_discount_percent: Annotated[int, Meta(ge=0, le=99)] = 50
    replicas: bool = False
    account: _AccountName = ""
    replica_hours: Annotated[int, Meta(ge=1, le=7 * 24)] = 24
    replica_idle_s: Annotated[int, Meta(ge=0, le=86_400)] = 0
    use_escrow_usdc: Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?\Z")] = "0.50"
    use_idle_s: Annotated[int, Meta(ge=1, le=86_400)] = 300
    check_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    check_account: _AccountName = ""
    check_usdc_per_day: Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?\Z")] = "1.00"
    check_trusted: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...], Meta(max_length=64)
    ] = ()
    check_within_s: Annotated[int, Meta(ge=0, le=3600)] = 60

    def check(self) -> None:
        """Raise `InvalidValue` unless who is to pay is named."""
        if self.replicas and not self.account:
            raise InvalidValue(
                "[models] replicas: say in account whose deposit pays for them, an account's id or wallet "
                "(`neurogrid-coordinator account list`)"
            )
        if not parse_usdc(self.use_escrow_usdc):
            raise InvalidValue("[models] use_escrow_usdc: an escrow of nothing pays for nothing")

    def replica_settings(self, catalogue: Catalogue, timeout_s_max: int) -> ReplicaSettings:
        """What holds of replicas.

        Args:
            timeout_s_max: the longest time limit for which an escrow can be opened.
        """
        served = {
            each.id: msgspec.structs.replace(each, server=self._as_long(each.server))
            for each in catalogue.models
            if each.server is not None
        }
        return ReplicaSettings(
            self.account,
            min(3600 * self.replica_hours, timeout_s_max),
            served if self.replicas else {},
            one_by_one=self.check_percent > 0,
        )

    def check_settings(self) -> CheckSettings:
        """What holds of checks."""
        return CheckSettings(
            self.check_percent if self.replicas else 0,
            self.check_account or self.account,
            parse_usdc(self.check_usdc_per_day),
            self.check_trusted,
            self.check_within_s,
        )

    def _as_long(self, server: ModelServer) -> ModelServer:
        return msgspec.structs.replace(server, idle_s=self.replica_idle_s or server.idle_s)

    def use_settings(self, replicas: ReplicaSettings) -> UseSettings:
        """What holds of leases for the use of replicas: none outlasts one."""
        return UseSettings(parse_usdc(self.use_escrow_usdc), self.use_idle_s, replicas.timeout_s)

    def settings(self, directory: Path) -> ModelSettings:
        """As they are kept to.

        Args:
            directory: where coordinator.toml is.

        Raises:
            InvalidValue: the file can't be read, or an entry is none; it says where.
        """
        found = read_catalogue(self.catalogue, directory)
        return ModelSettings(
            _with_aliases(found, self.aliases), self.wait_s, self.batch_discount_percent
        )


def _with_aliases(catalogue: Catalogue, aliases: Sequence[str]) -> Catalogue:
    more: dict[str, list[str]] = {}
    for line in aliases:
        name, _, model_id = (part.strip() for part in line.partition("="))
        if model_id not in catalogue.ids:
            there = ", ".join(catalogue.ids[:_IDS_SHOWN_MAX])
            raise InvalidValue(
                f"[models] aliases: {line!r} is no NAME=ID of a model; there are {there}"
            )
        try:
            more.setdefault(model_id, []).append(msgspec.convert(name, ModelName))
        except msgspec.ValidationError as error:
            raise InvalidValue(f"[models] aliases: {line!r} has no name: {error}") from error
    return Catalogue(
        tuple(
            msgspec.structs.replace(model, aliases=(*model.aliases, *more.get(model.id, ())))
            for model in catalogue.models
        )
    )


def read_catalogue(path: str, directory: Path) -> Catalogue:
    """The catalogue in a file; empty: the one that this release ships.

    Raises:
        InvalidValue: see `ModelsConfig.settings`.
    """
    if not path:
        text = resources.files(__package__).joinpath(CATALOGUE_NAME).read_text("utf-8")
        return parse_catalogue(text, CATALOGUE_NAME)
    place = directory / path
    try:
        if place.stat().st_size > _FILE_BYTES_MAX:
            raise InvalidValue(f"{place}: more than {_FILE_BYTES_MAX} bytes")
        text = place.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"[models] catalogue: {place}: {error}") from error
    return parse_catalogue(text, str(place))

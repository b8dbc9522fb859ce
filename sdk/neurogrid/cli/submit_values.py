"""What the options of ``neurogrid submit`` may hold, and what the API takes for it."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.input_url import URL_SCHEMES
from neurogrid_marketplace.registry_auth import read_auth

from ..models import TaskOutput
from ..task_body import Priority
from .durations import DURATION, Duration

# A file of the account that is at the coordinator already.
_BY_HASH = "sha256:"
_FROM_ENV = "env:"
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A colon that is the URL's own is written %3A, unless it comes before the port.
_URL = re.compile(
    r"(?P<url>https?://[^/?#:]+(?::[0-9]+)?+(?P<path>/[^?#:]*)?(?:\?[^#:]*)?)(?P<pin>#sha256=[0-9a-f]{64})?(?::(?P<name>[^:]+))?"
)


class PriorityType(click.ParamType[Priority]):
    """high, normal, low, or 1 to 10."""

    name = "priority"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Priority:
        """The word, or the number."""
        if value in ("high", "normal", "low"):
            return value  # type: ignore[no-any-return]  # one of the three words
        if str(value).isdecimal() and 1 <= int(value) <= 10:
            return int(value)
        self.fail(f"{value!r} is none of high, normal, low, 1 to 10", param, ctx)


class Moment(click.ParamType[datetime]):
    """A time: a duration from now, or ISO 8601 (without a zone: this machine's)."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """As an aware datetime."""
        if isinstance(value, datetime):
            return value
        if DURATION.fullmatch(str(value)):
            seconds = Duration().convert(value, param, ctx)
            return datetime.now(UTC) + timedelta(seconds=seconds)
        try:
            return datetime.fromisoformat(str(value)).astimezone(UTC)
        except ValueError:
            self.fail(f"{value!r} is no time: write 2h, or 2030-01-15T10:30Z", param, ctx)


def gang(text: str | None, tries: int | None) -> dict[str, Any] | None:
    """SIZE[:APART]."""
    if text is None:
        if tries is not None:
            raise click.BadParameter("goes with --gang only", param_hint="--tries")
        return None
    size, _, apart = text.partition(":")
    if not size.isdecimal():
        raise click.BadParameter(f"{text!r} is not SIZE[:APART]", param_hint="--gang")
    return {"size": int(size), "apart": apart or "node", "tries": tries or 1}


def service(port: int | None, health: str | None, start_s: int | None) -> dict[str, Any] | None:
    """Where the job listens, and how it is known to be well."""
    if health is not None and port is None:
        raise click.BadParameter("goes with --port only", param_hint="--health")
    if start_s is not None and health is None:
        raise click.BadParameter("goes with --health only", param_hint="--health-start")
    if port is None:
        return None
    wanted: dict[str, Any] = {"port": port}
    if health is not None:
        wanted["health"] = health
    if start_s is not None:
        wanted["start_seconds"] = start_s
    return wanted


def assignment(text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--env")
    return name, value


def spread(text: str | None) -> dict[str, str] | None:
    """GROUP[:BY]."""
    if text is None:
        return None
    group, _, by = text.partition(":")
    return {"group": group, "by": by or "node"}


def avoid(nodes: tuple[str, ...], wallets: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
    """Nodes and owners that are left out; None without any."""
    named = {"nodes": nodes, "wallets": wallets}
    return {name: values for name, values in named.items() if values} or None


def output_of(text: str) -> tuple[str, TaskOutput]:
    """TASK:OUTPUT[:PATH]; the path is the output's own if left out."""
    task_id, _, rest = text.partition(":")
    output, _, path = rest.partition(":")
    if not output:
        raise click.BadParameter(f"{text!r} is not TASK:OUTPUT[:PATH]", param_hint="--input-from")
    return path or output, TaskOutput(task_id, output)


def files(sources: tuple[str, ...]) -> dict[str, Path | str]:
    """Path below /inputs -> local file, URL, or the hash of one that is uploaded; folders are walked."""
    found: dict[str, Path | str] = {}
    for source in sources:
        if source.startswith(_BY_HASH):
            name, sha256 = _uploaded(source)
            found[name] = sha256
            continue
        if source.startswith(URL_SCHEMES):
            name, url = _on_the_web(source)
            found[name] = url
            continue
        local, name = _split(source)
        if local.is_dir():
            for file in sorted(path for path in local.rglob("*") if path.is_file()):
                found[f"{name}/{file.relative_to(local).as_posix()}"] = file
        else:
            found[name] = local
    return found


def _uploaded(source: str) -> tuple[str, str]:
    """sha256:HASH:PATH."""
    sha256, _, name = source.removeprefix(_BY_HASH).partition(":")
    if not _SHA256.fullmatch(sha256) or not name.strip("/"):
        raise click.BadParameter(
            f"{source!r} is not sha256:HASH:PATH, with 64 lower-case hex digits and where the job finds it",
            param_hint="--input",
        )
    return name.strip("/"), sha256


def _on_the_web(source: str) -> tuple[str, str]:
    """URL[#sha256=HASH][:PATH]; the path is the URL's last part if left out."""
    found = _URL.fullmatch(source)
    if found is None:
        raise click.BadParameter(
            f"{source!r} is not URL[#sha256=HASH][:PATH], with 64 lower-case hex digits; write a colon of the "
            "URL's own as %3A",
            param_hint="--input",
        )
    name = found["name"] or unquote((found["path"] or "").rpartition("/")[2])
    if not name.strip("/"):
        raise click.BadParameter(
            f"{source!r} does not say where the job finds it: end it with :PATH",
            param_hint="--input",
        )
    return name.strip("/"), found["url"] + (found["pin"] or "")


def _split(source: str) -> tuple[Path, str]:
    """FILE[:PATH]; a colon that belongs to the file's own name is left alone."""
    local = Path(source)
    head, colon, name = source.rpartition(":")
    if colon and not local.exists():
        local = Path(head)
    else:
        name = local.resolve().name
    if not local.exists():
        raise click.BadParameter(f"{local} does not exist", param_hint="--input")
    return local, name.strip("/")


def registry_auth(source: str | None, image: str) -> tuple[str, str] | None:
    """User name and password of an image's registry: from a file, or from ``env:NAME``. Never typed themselves.

    Raises:
        click.BadParameter: there are none; the message has nothing of them.
    """
    if source is None:
        return None
    hint = "--registry-auth"
    try:
        if source.startswith(_FROM_ENV):
            text = os.environ.get(source.removeprefix(_FROM_ENV), "")
            if not text:
                raise click.BadParameter(
                    f"{source.removeprefix(_FROM_ENV)} is not set", param_hint=hint
                )
        else:
            text = Path(source).expanduser().read_text()
        auth = read_auth(text, ImageName.read(image).registry)
    except (InvalidValue, UnicodeDecodeError) as error:
        words = str(error) if isinstance(error, InvalidValue) else "it is no text"
        raise click.BadParameter(words, param_hint=hint) from None
    except OSError as error:
        raise click.BadParameter(
            f"{source[:200]!r}: {error.strerror}; name a file, or env:NAME", param_hint=hint
        ) from None
    return auth.username, auth.password

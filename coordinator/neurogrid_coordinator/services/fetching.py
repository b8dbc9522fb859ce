"""Inputs that a request names by URL: fetched once, kept as the account's files, and from then on named by hash.

A task's job names every input by its hash before anybody bids, so whoever runs it, again or beside others,
gets the bytes of this one fetch, whatever the URL shows by then (docs/inputs.md).
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.input_url import InputUrl

from ..files.url_fetch import FetchFailed, UrlFetcher
from ..store import artifacts, tasks, workflows
from ..store.accounts import Account
from ..store.database import Database
from .artifacts import Artifacts, Upload
from .errors import InvalidRequest, PayloadTooLarge, RateLimited, Unavailable
from .submission import InputWanted, Submission, fetched_files
from .workflows import WorkflowWanted

# In one request: they are fetched one after the other, while its client waits.
URLS_MAX = 32
# Requests that are fetching, of one account and of all: each may hold a connection and a file's piece.
_OF_ACCOUNT_MAX = 2
_OF_ALL_MAX = 16
_TRY_AGAIN_S = 5

# What was asked for: a URL, and the hash that it shall have if its client said one.
_Asked = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class _Url:
    """One input that is named by URL; ``field``: its path in the request."""

    asked: _Asked
    field: str


class Fetching:
    """Turns requests' URLs into hashes.

    Args:
        fetcher: None where this coordinator fetches nothing.
        timeout_s: how long all files of one request may take.
    """

    def __init__(
        self,
        *,
        database: Database,
        artifacts: Artifacts,
        fetcher: UrlFetcher | None,
        timeout_s: int,
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._fetcher = fetcher
        self._timeout_s = timeout_s
        self._busy: Counter[str] = Counter()

    async def task(self, account: Account, wanted: Submission) -> Submission:
        """The submission with its files here, and named by hash.

        Raises:
            InvalidRequest: a file can't be had, or is not what it was said to be.
            RateLimited, Unavailable: too many are being fetched now.
        """
        urls = list(_urls(wanted, ""))
        if not urls:
            return wanted
        key = wanted.idempotency_key

        def first(conn: Connection) -> Mapping[str, Json]:
            row = tasks.by_idempotency_key(conn, account.id, key) if key else None
            return row.spec if row is not None else {}

        spec = await self._database.read(first)
        return _named(wanted, await self._here(account, urls, _pinned(spec)))

    async def workflow(self, account: Account, wanted: WorkflowWanted) -> WorkflowWanted:
        """As `task`, of all tasks of a workflow; what several of them name is fetched once.

        Raises:
            As `task`.
        """
        urls = [url for name, task in wanted.tasks.items() for url in _urls(task, f"tasks.{name}.")]
        if not urls:
            return wanted
        key = wanted.idempotency_key

        def first(conn: Connection) -> Mapping[str, Json]:
            row = workflows.by_idempotency_key(conn, account.id, key) if key else None
            return row.spec if row is not None else {}

        spec = (await self._database.read(first)).get("tasks", {})
        assert isinstance(spec, dict), "as `Workflows.submit` stores it"
        pinned: dict[_Asked, str] = {}
        for task in spec.values():
            assert isinstance(task, dict), "as `Submission.record` has it"
            pinned |= _pinned(task)
        hashes = await self._here(account, urls, pinned)
        return replace(
            wanted, tasks={name: _named(task, hashes) for name, task in wanted.tasks.items()}
        )

    async def _here(
        self, account: Account, urls: Sequence[_Url], pinned: Mapping[_Asked, str]
    ) -> dict[_Asked, str]:
        """What was asked for -> the hash of a file that the account has.

        Args:
            pinned: what the same request, sent before, was given; it is not fetched again.
        """
        hashes = dict(pinned)
        said = [sha256 for _, sha256 in (url.asked for url in urls) if sha256 is not None]
        there = await self._database.read(lambda conn: artifacts.sizes(conn, account.id, said))
        # The first that names a URL stands for the others.
        missing: dict[_Asked, str] = {}
        for url in urls:
            _, sha256 = url.asked
            if url.asked in hashes:
                continue
            if sha256 in there:
                hashes[url.asked] = sha256
            else:
                missing.setdefault(url.asked, url.field)
        if len(missing) > URLS_MAX:
            raise InvalidRequest(f"inputs: at most {URLS_MAX} URLs in one request", "inputs")
        if not missing:
            return hashes
        with self._one_more(account):
            until_s = asyncio.get_running_loop().time() + self._timeout_s
            for (address, sha256), field in missing.items():
                hashes[address, sha256] = await self._fetch(
                    account, address, sha256, field, until_s
                )
        return hashes

    @contextmanager
    def _one_more(self, account: Account) -> Iterator[None]:
        if self._busy[account.id] >= _OF_ACCOUNT_MAX:
            raise RateLimited(_TRY_AGAIN_S)
        if self._busy.total() >= _OF_ALL_MAX:
            raise Unavailable("too many files are being fetched; try again in a moment")
        self._busy[account.id] += 1
        try:
            yield
        finally:
            self._busy[account.id] -= 1
            if not self._busy[account.id]:
                del self._busy[account.id]

    async def _fetch(
        self, account: Account, address: str, sha256: str | None, field: str, until_s: float
    ) -> str:
        """The hash of the file, which is now the account's."""

        def refusal(why: str, advice: str) -> InvalidRequest:
            return InvalidRequest(f"{field}: {address}: {why}; {advice}", field)

        by_hand = "download it yourself and name the file"
        if self._fetcher is None:
            raise refusal("this coordinator fetches nothing", by_hand)
        try:
            url = InputUrl.read(address)
        except InvalidValue as error:
            raise InvalidRequest(f"{field}: {address[:200]}: {error}", field) from error
        try:
            async with asyncio.timeout_at(until_s), self._fetcher.open(url) as arriving:
                upload = Upload(sha256, arriving.pieces, arriving.announced_bytes)
                return (await self._artifacts.put(account, upload)).sha256
        except FetchFailed as error:
            raise refusal(str(error), f"try again, or {by_hand}") from error
        except TimeoutError as error:
            raise refusal(f"it did not come within {self._timeout_s} s", by_hand) from error
        except PayloadTooLarge as error:
            limit = error.details["limit_bytes"]
            raise refusal(
                f"it is larger than the {limit} bytes that this account may still store",
                "a job with `network` can read it by itself",
            ) from error
        except InvalidRequest as error:
            raise refusal(
                f"it is not what its hash says: {error.message}",
                "pin the other hash if that is what you want",
            ) from error


def _urls(wanted: Submission, place: str) -> Iterator[_Url]:
    for item in wanted.inputs:
        if item.url is not None:
            yield _Url(_asked(item), f"{place}inputs[{item.index}].url")


def _asked(item: InputWanted) -> _Asked:
    assert item.url is not None
    return item.url, item.sha256 if item.has_hash else None


def _named(wanted: Submission, hashes: Mapping[_Asked, str]) -> Submission:
    return replace(
        wanted,
        inputs=tuple(
            item if item.url is None else replace(item, sha256=hashes[_asked(item)])
            for item in wanted.inputs
        ),
    )


def _pinned(spec: Mapping[str, Json]) -> dict[_Asked, str]:
    """What a request that is stored was given for its URLs."""
    found: dict[_Asked, str] = {}
    for _, url, sha256 in fetched_files(spec):
        # With and without the hash: who pins what was found sends the same request.
        found[url, sha256] = found[url, None] = sha256
    return found

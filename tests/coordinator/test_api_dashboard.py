"""The dashboard's files, as they are sent: packed, kept, and nothing beside them."""

import gzip
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from coordinator.api_world import open_world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.api.dashboard import HEADERS, answered
from neurogrid_coordinator.api.dashboard_files import PageFile, read_files

PAGE = b"<!doctype html><title>NeuroGrid</title>" + b"<p>a page" * 200
SCRIPT = b"export const one = 1;" * 200


@pytest.fixture
def files(tmp_path: Path) -> dict[str, PageFile]:
    folder = tmp_path / "files"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(PAGE)
    (folder / "assets/index-abc123.js").write_bytes(SCRIPT)
    (folder / ".built").write_text("a hash")
    (tmp_path / "secret").write_text("not to be seen")
    (folder / "assets/link.js").symlink_to(tmp_path / "secret")
    return dict(read_files(folder))


def _asked(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "headers": raw, "path": "/dashboard"})


def test_files_are_those_of_the_folder_and_none_that_is_hidden_or_a_link(
    files: dict[str, PageFile],
) -> None:
    assert set(files) == {"index.html", "assets/index-abc123.js"}


def test_a_script_is_packed_for_who_takes_it_and_kept_for_ever(files: dict[str, PageFile]) -> None:
    answer = answered(_asked(accept_encoding="br, gzip"), "assets/index-abc123.js", files)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(bytes(answer.body)) == SCRIPT
    for accepted in ("", "br", "gzip;q=0", "identity"):
        plain = answered(_asked(accept_encoding=accepted), "assets/index-abc123.js", files)
        assert "content-encoding" not in plain.headers
        assert plain.body == SCRIPT


def test_a_page_is_asked_for_again_each_time_and_not_sent_again(files: dict[str, PageFile]) -> None:
    page = answered(_asked(), "tasks/task_1", files)
    assert page.body == PAGE
    assert page.headers["cache-control"] == "no-cache"
    again = answered(_asked(if_none_match=page.headers["etag"]), "", files)
    assert (again.status_code, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path", ["../secret", "assets/../../secret", "/etc/passwd", ".built", "assets/link.js", "\0"]
)
def test_no_path_leads_out_of_the_files(files: dict[str, PageFile], path: str) -> None:
    answer = answered(_asked(), path, files)
    assert answer.body == PAGE or answer.status_code == 404
    assert b"not to be seen" not in bytes(answer.body)


def test_a_script_that_is_gone_is_no_page(files: dict[str, PageFile]) -> None:
    gone = answered(_asked(), "assets/index-old.js", files)
    assert gone.status_code == 404
    assert gone.media_type == "text/plain"


def test_without_built_files_a_page_says_how_to_build_them(tmp_path: Path) -> None:
    assert read_files(tmp_path) == {}
    page = answered(_asked(), "tasks", {})
    assert b"make dashboard" in bytes(page.body)
    assert page.headers["cache-control"] == "no-store"


def test_a_folder_that_is_no_dashboard_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(b"<p>")
    with (tmp_path / "huge.js").open("wb") as huge:
        huge.truncate(21 * 1024 * 1024)
    with pytest.raises(ValueError, match="more than"):
        read_files(tmp_path)


def test_the_policy_lets_nothing_in_but_the_coordinators_own() -> None:
    policy = dict(
        part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    for what in ("script-src", "style-src", "connect-src", "font-src"):
        assert policy[what] == "'self'"
    for what in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[what] == "'none'"


@on_asyncio
async def test_a_coordinator_sends_pages_with_the_policy_and_a_head_alone_where_asked(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        client = world.client()
        for path in ("/dashboard", "/dashboard/", "/dashboard/tasks/task_1"):
            page = await client.get(path)
            assert page.status_code == 200
            _has_policy(page)
        head = await client.head("/dashboard")
        assert (head.status_code, head.content) == (200, b"")
        _has_policy(head)
        assert (await client.post("/dashboard")).status_code == 405


@on_asyncio
async def test_a_coordinator_serves_none_where_its_operator_says_so(tmp_path: Path) -> None:
    async with open_world(tmp_path, dashboard=False) as world:
        assert (await world.client().get("/dashboard")).status_code == 404


def _has_policy(answer: httpx.Response) -> None:
    for name, value in HEADERS.items():
        # Once: what the door adds to other answers does not come beside.
        assert answer.headers.get_list(name) == [value]

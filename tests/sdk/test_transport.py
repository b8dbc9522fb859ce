"""What is repeated, how often, and what never is: against a server that fails as told."""

import hashlib
import json
from collections.abc import Callable, Iterator

import httpx
import pytest

import neurogrid
from neurogrid.models import Account, Task
from neurogrid.profile import Profile
from neurogrid.sse import ServerSentEvent, read_events
from neurogrid.transport import Transport

ACCOUNT = {
    "success": True,
    "data": {"id": "acct_1", "balance": {"available": "1.00", "held": "0.00", "escrowed": "0.00"}},
}


def error(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"success": False, "error": {"code": code, "message": "no", "type": "", "details": {}}}
    return httpx.Response(status, json=body, headers=headers)


class Server:
    """Answers with what it is given, in order; the last answer again and again."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def transport(server: Callable[[httpx.Request], httpx.Response]) -> tuple[Transport, list[float]]:
    pauses: list[float] = []
    made = Transport(
        Profile("http://api", "ng_key"),
        retries_max=3,
        http=httpx.MockTransport(server),
        sleep=pauses.append,
    )
    return made, pauses


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("silence"),
        httpx.RemoteProtocolError("cut"),
        error(503, "UNAVAILABLE"),
        httpx.Response(502, text="<html>bad gateway"),
    ],
)
def test_what_passes_is_repeated_with_growing_pauses(failure: httpx.Response | Exception) -> None:
    server = Server(failure, failure, httpx.Response(200, json=ACCOUNT))
    door, pauses = transport(server)
    assert door.call(Account, "GET", "/account").id == "acct_1"
    assert len(server.requests) == 3
    assert 0.125 <= pauses[0] <= 0.25 <= pauses[1] <= 0.5


def test_repeating_is_bounded() -> None:
    server = Server(httpx.ConnectError("refused"))
    door, pauses = transport(server)
    with pytest.raises(neurogrid.ConnectionFailed, match="http://api can't be reached: refused"):
        door.call(Account, "GET", "/account")
    assert (len(server.requests), len(pauses)) == (4, 3)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (500, "INTERNAL", neurogrid.ServerError),
        (400, "INVALID_REQUEST", neurogrid.InvalidRequestError),
        (413, "PAYLOAD_TOO_LARGE", neurogrid.InvalidRequestError),
        (401, "KEY_EXPIRED", neurogrid.AuthenticationError),
        (409, "NODE_UNAVAILABLE", neurogrid.ProviderUnavailableError),
    ],
)
def test_what_will_not_change_is_not_repeated(
    status: int, code: str, kind: type[neurogrid.ApiError]
) -> None:
    server = Server(error(status, code))
    door, pauses = transport(server)
    with pytest.raises(kind) as raised:
        door.call(Account, "GET", "/account")
    assert (raised.value.code, raised.value.status, pauses) == (code, status, [])
    assert isinstance(raised.value, neurogrid.NeuroGridError)


def test_a_limit_is_waited_for_as_long_as_the_server_says_but_not_forever() -> None:
    limited = error(429, "RATE_LIMITED", **{"Retry-After": "3"})
    server = Server(limited, httpx.Response(200, json=ACCOUNT))
    door, pauses = transport(server)
    door.call(Account, "GET", "/account")
    assert pauses == [3.0]
    server = Server(error(429, "RATE_LIMITED", **{"Retry-After": "3600"}))
    door, pauses = transport(server)
    with pytest.raises(neurogrid.RateLimitError) as raised:
        door.call(Account, "GET", "/account")
    assert (raised.value.retry_after, pauses) == (3600.0, [])


def test_a_repeated_submission_carries_the_same_idempotency_key() -> None:
    created = {"success": True, "data": {"id": "task_1", "status": "pending", "phase": "queued"}}
    created["data"]["created_at"] = "2024-01-15T10:30:00.000Z"  # type: ignore[index]  # a dict
    server = Server(httpx.ReadTimeout("silence"), httpx.Response(201, json=created))
    client = neurogrid.Client("ng_k", "http://api", transport=httpx.MockTransport(server))
    task = client.tasks.create(docker_image="a", max_price_per_hour="1.00")
    assert task.id == "task_1"
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(keys) == 2
    assert keys[0] == keys[1]
    other = client.tasks.create(docker_image="a", max_price_per_hour="1.00")
    assert isinstance(other, Task)
    assert server.requests[-1].headers["idempotency-key"] != keys[0]
    sent = json.loads(server.requests[-1].content)
    assert sent == {
        "type": "cpu",
        "docker_image": "a",
        "max_price_per_hour": "1.00",
        "timeout_seconds": 3600,
        "priority": "normal",
    }


def test_another_service_at_the_address_is_recognised() -> None:
    door, _ = transport(Server(httpx.Response(200, text="<html>hello")))
    with pytest.raises(neurogrid.ConnectionFailed, match="does not answer like a NeuroGrid"):
        door.call(Account, "GET", "/account")
    door, _ = transport(Server(httpx.Response(404, text="<html>nothing")))
    with pytest.raises(neurogrid.InvalidRequestError, match="HTTP 404"):
        door.call(Account, "GET", "/account")


def test_a_stream_that_is_cut_goes_on_after_its_last_event() -> None:
    def update(number: int, name: str, status: str) -> str:
        data = {
            "type": name,
            "task_id": "task_1",
            "sequence": number,
            "timestamp": "2024-01-15T10:30:00.000Z",
            "status": status,
        }
        return f"event: {name}\nid: {number}\ndata: {json.dumps(data)}\n\n"

    first = ": keep-alive\n\n" + update(1, "task.created", "pending")
    rest = update(2, "task.completed", "completed") + "event: end\ndata: {}\n\n"
    headers = {"Content-Type": "text/event-stream"}
    server = Server(
        httpx.Response(200, text=first, headers=headers),
        error(503, "UNAVAILABLE"),
        httpx.Response(200, text=rest, headers=headers),
    )
    pauses: list[float] = []
    client = neurogrid.Client("ng_k", "http://api", transport=httpx.MockTransport(server))
    client._transport._sleep = pauses.append
    assert [item.sequence for item in client.tasks.stream("task_1")] == [1, 2]
    assert "last-event-id" not in server.requests[0].headers
    assert server.requests[2].headers["last-event-id"] == "1"
    assert len(pauses) == 2


def test_events_are_read_as_the_standard_says() -> None:
    lines = [
        ": comment",
        "event: a",
        "id: 1",
        "data: one",
        "data:two",
        "",
        "data: plain",
        "",
        "event: without-data",
        "",
        "retry: 5",
        "data: last, and never ended",
    ]
    assert list(read_events(lines)) == [
        ServerSentEvent("a", "one\ntwo", "1"),
        ServerSentEvent("message", "plain", "1"),
    ]


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", "a\\b"])
def test_an_output_path_never_leaves_the_directory(
    path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("out")
    body = {"data": {"outputs": [{"path": path, "sha256": "0" * 64, "size": 1, "url": ""}]}}
    server = Server(httpx.Response(200, json=body))
    client = neurogrid.Client("ng_k", "http://api", transport=httpx.MockTransport(server))
    with pytest.raises(neurogrid.IntegrityError):
        client.tasks.download("task_1", folder / "inner")
    assert [item for item in folder.rglob("*") if item.is_file()] == []


def download_server(*pieces: httpx.Response) -> Server:
    """Says that the output is "world", and sends these pieces."""
    sha256 = hashlib.sha256(b"world").hexdigest()
    listing = {"outputs": [{"path": "hello", "sha256": sha256, "size": 5, "url": ""}]}
    return Server(httpx.Response(200, json={"data": listing}), *pieces)


def broken(data: bytes) -> Iterator[bytes]:
    yield data
    raise httpx.ReadError("cut")


def test_a_broken_download_is_resumed(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("out")
    server = download_server(
        httpx.Response(200, content=broken(b"wor")), httpx.Response(206, content=b"ld")
    )
    client = neurogrid.Client("ng_k", "http://api", transport=httpx.MockTransport(server))
    client._transport._sleep = lambda _: None
    (path,) = client.tasks.download("task_1", folder)
    assert path.read_bytes() == b"world"
    assert server.requests[-1].headers["range"] == "bytes=3-"


def test_a_changed_file_is_not_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("out")
    for content in (b"other", b"longer than said", b"shrt"):
        server = download_server(httpx.Response(200, content=content))
        client = neurogrid.Client("ng_k", "http://api", transport=httpx.MockTransport(server))
        with pytest.raises(neurogrid.IntegrityError):
            client.tasks.download("task_1", folder)
        assert list(folder.iterdir()) == []

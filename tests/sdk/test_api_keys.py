"""The account's API keys in the SDK and in ``neurogrid api-keys``, against the real api."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from click.testing import CliRunner, Result

import neurogrid
from coordinator.api_world import Customer
from coordinator.served import ServedWorld
from neurogrid import Client
from neurogrid.cli.group import neurogrid as command

Run = Callable[..., Result]


@pytest.fixture
def alice(api: ServedWorld) -> Customer:
    return api.run(lambda world: world.customer("alice", scopes=("read", "write", "keys")))


@pytest.fixture
def client(api: ServedWorld, alice: Customer) -> Iterator[Client]:
    with Client(alice.key, api.address, retries_max=2) as client:
        yield client


@pytest.fixture
def run(api: ServedWorld, alice: Customer) -> Run:
    def run(*arguments: str, key: str = alice.key) -> Result:
        environment = {"NEUROGRID_API_URL": api.address, "NEUROGRID_API_KEY": key}
        return CliRunner().invoke(command, ("api-keys", *arguments), env=environment)

    return run


def test_a_key_is_made_used_rotated_and_revoked(client: Client, api: ServedWorld) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)
    made = client.api_keys.create("ci", scopes=["read"], expires_at=ends)
    assert made.secret is not None
    assert made.expires_at is not None
    assert abs(made.expires_at - ends) < timedelta(seconds=1)
    with Client(made.secret, api.address, retries_max=0) as program:
        assert program.tasks.list().total == 0
        assert program.api_keys.get().id == made.id
        with pytest.raises(neurogrid.PermissionDeniedError, match="scope 'write'"):
            program.tasks.create(docker_image="a", max_price_per_hour="1")
        with pytest.raises(neurogrid.PermissionDeniedError, match="--scope keys"):
            program.api_keys.list()
        rotated = client.api_keys.rotate(made.id, grace_s=60)
        assert (rotated.name, rotated.scopes, rotated.expires_at) == (
            "ci",
            ["read"],
            made.expires_at,
        )
        assert (rotated.replaces.id, rotated.replaces.state) == (made.id, "active")
        assert {key.id for key in client.api_keys.list(state="active").api_keys} >= {
            made.id,
            rotated.id,
        }
        assert program.api_keys.revoke("current").state == "revoked"
        with pytest.raises(neurogrid.AuthenticationError, match="revoked"):
            program.tasks.list()
    assert client.api_keys.revoke(made.id).state == "revoked"
    with pytest.raises(neurogrid.NotFoundError):
        client.api_keys.revoke("key_nobody")


def test_an_answer_that_is_lost_costs_no_key(api: ServedWorld, alice: Customer) -> None:
    class Loses(httpx.HTTPTransport):
        """Carries the first request out, and loses its answer."""

        lost = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            if request.method == "POST" and not self.lost:
                self.lost += 1
                answer.close()
                raise httpx.ReadError("the connection broke", request=request)
            return answer

    transport = Loses()
    with Client(alice.key, api.address, transport=transport) as client:
        made = client.api_keys.create("ci")
        assert transport.lost == 1
        assert made.secret is not None
        assert client.api_keys.list().total == 2
    with Client(made.secret, api.address) as program:
        assert program.api_keys.get().id == made.id


def test_create_prints_the_secret_alone(run: Run) -> None:
    made = run("create", "--name", "ci", "--scope", "read", "--expires-in", "90d")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert made.stdout == f"{secret}\n"
    assert secret.startswith("ng_")
    assert "not shown again" in made.stderr
    assert secret not in made.stderr
    listed = run("list")
    assert secret[:9] in listed.stdout
    assert secret not in listed.stdout
    assert "never" in listed.stdout
    keys = json.loads(run("list", "--state", "active", "--json").stdout)["api_keys"]
    assert {key["name"] for key in keys} == {"ci", "test"}
    refused = run("create", "--name", "x", key=secret)
    assert refused.exit_code != 0
    assert "lacks the scope 'keys'" in refused.stderr


def test_a_request_is_repeated_until_its_key_is_used(run: Run, api: ServedWorld) -> None:
    arguments = ("create", "--name", "ci", "--idempotency-key", "k")
    first = json.loads(run(*arguments, "--json").stdout)
    second = json.loads(run(*arguments, "--json").stdout)
    assert (second["id"], second["scopes"]) == (first["id"], ["read", "write"])
    with Client(second["secret"], api.address) as program:
        program.tasks.list()
    third = run(*arguments)
    assert third.exit_code == 1
    assert third.stdout == ""
    assert f"{first['id']} was made by this request before" in third.stderr
    assert json.loads(run(*arguments, "--json").stdout)["secret"] is None


def test_rotate_and_revoke(run: Run) -> None:
    rotated = run("rotate", "current", "--grace", "1h")
    assert rotated.exit_code == 0, rotated.output
    secret = rotated.stdout.strip()
    assert " ends 20" in rotated.stderr
    keys = json.loads(run("list", "--json", key=secret).stdout)["api_keys"]
    old, new = sorted(keys, key=lambda key: str(key["current"]))
    assert (old["current"], new["current"]) == (False, True)
    assert (old["name"], old["scopes"]) == (new["name"], new["scopes"])
    revoked = run("revoke", old["id"], key=secret)
    assert revoked.stdout == f"{old['id']} revoked\n"
    assert run("list").exit_code == 3
    assert run("revoke", "key_nobody", key=secret).exit_code == 4
    gone = json.loads(run("revoke", "current", "--json", key=secret).stdout)
    assert [key["id"] for key in gone] == [new["id"]]

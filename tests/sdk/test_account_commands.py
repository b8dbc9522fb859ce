"""Limits, the error log and applications by the SDK and the command line, against a real api."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.exceptions import UsageError

from coordinator.api_world import Customer, World
from coordinator.owned_things import allowed_application, failure
from coordinator.served import ServedWorld
from neurogrid import Client, NotFoundError, PermissionDeniedError
from neurogrid.cli.errors import timeframe
from neurogrid_coordinator.store import oauth
from neurogrid_coordinator.store.accounts import CLIENT_ROLE, OPERATOR_ROLE
from sdk.typing_commands import Run


@pytest.fixture
def alice(api: ServedWorld) -> Customer:
    return api.run(lambda world: world.customer("alice", scopes=("read", "write", "keys")))


@pytest.fixture
def network(api: ServedWorld, alice: Customer, tmp_path: Path) -> Path:
    """Of this account, for what is typed."""
    return _network(api, alice, tmp_path / "network.json")


@pytest.fixture
def client(api: ServedWorld, alice: Customer) -> Iterator[Client]:
    with Client(alice.key, api.address) as made:
        yield made


def test_limits_that_are_not_named_stay(client: Client, run: Run) -> None:
    shown = run("limits", "set", "--monthly-budget", "1e2", "--monthly-tasks", "7")
    assert shown.exit_code == 0, shown.output
    assert "100.00 USDC" in shown.stdout
    changed = _typed(run, "limits", "set", "--task-budget", "0.50", "--monthly-tasks", "none")
    assert (changed["monthly_budget"], changed["task_budget"]) == ("100.00", "0.50")
    assert changed["monthly_tasks"] is None
    now = client.limits.get()
    assert (now.monthly_budget, now.monthly_tasks) == (Decimal(100), None)
    text = run("limits", "show").stdout
    for words in (
        "a task          0.50 USDC",
        "monthly tasks   no limit",
        "requests        no limit",
    ):
        assert words in text
    for wrong, why in [
        ((), "name a limit"),
        (("--monthly-tasks", "1.5"), "is neither a whole number nor none"),
        (("--task-budget", "-1"), "is neither an amount of USDC"),
        (("--monthly-budget", "lots"), "is neither an amount of USDC"),
        (("--monthly-budget", "nan"), "is neither an amount of USDC"),
    ]:
        refused = run("limits", "set", *wrong)
        assert refused.exit_code == 2
        assert why in refused.stderr
    assert client.limits.get() == now


def test_what_failed_is_listed_shown_and_resolved(
    api: ServedWorld, alice: Customer, client: Client, run: Run, tmp_path: Path
) -> None:
    assert "Nothing that failed fits" in run("errors", "list").stderr
    made = api.run(lambda world: failure(world, alice, ""))
    error_id = made.parameters["error_id"]
    listed = run("errors", "list", "--open", "--severity", "medium", "--since", "90s")
    assert listed.exit_code == 0, listed.output
    row = listed.stdout.splitlines()[1].split("  ")
    assert (row[0], row[-1]) == (error_id, client.error_log.get(error_id).message)
    shown = run("errors", "show", error_id).stdout
    for words in ("medium", "none yet", "node_id"):
        assert words in shown
    said = _typed(run, "errors", "resolve", error_id, "The image lacked\na library.")
    assert said["resolution"] == "The image lacked\na library."
    assert "lacked⏎a library" in run("errors", "show", error_id).stdout
    assert _typed(run, "errors", "list", "--resolved")["total"] == 1
    assert _typed(run, "errors", "list", "--open")["total"] == 0
    undone = _typed(run, "errors", "resolve", error_id, "--undo")
    assert undone["resolution"] is undone["resolved_at"] is None
    for wrong in ([], ["done", "--undo"], [""], ["x" * 2001]):
        assert run("errors", "resolve", error_id, *wrong).exit_code == 2
    assert run("errors", "show", "err_nobody").exit_code == 4
    with pytest.raises(NotFoundError):
        client.error_log.resolve("err_nobody", "done")

    # The operator sees everybody's, and nobody else does.
    assert run("errors", "list", "--all-accounts").exit_code == 3
    roles = (CLIENT_ROLE, OPERATOR_ROLE)
    operator = api.run(lambda world: world.customer("operator", roles=roles))
    of_operator = {"NEUROGRID_NETWORK": str(_network(api, operator, tmp_path / "operator.json"))}
    everybodys = ("--all-accounts", "--json")
    found = json.loads(run("errors", "list", *everybodys, **of_operator).stdout)
    assert [each["account_id"] for each in found["errors"]] == [alice.account.id]
    assert run("errors", "show", error_id, **of_operator).exit_code == 4
    done = run("errors", "resolve", error_id, "Seen.", *everybodys, **of_operator)
    assert json.loads(done.stdout)["resolution"] == "Seen."


def test_how_far_back_is_said_in_the_largest_unit_that_fits() -> None:
    spans = [(1, "1m"), (90, "2m"), (3600, "1h"), (86_400, "1d"), (90_000, "25h")]
    assert [timeframe(seconds) for seconds, _ in spans] == [words for _, words in spans]
    for seconds in (0, 10_000 * 86_400):
        with pytest.raises(UsageError):
            timeframe(seconds)


def test_an_application_is_registered_rotated_and_ended(
    api: ServedWorld, alice: Customer, client: Client, run: Run
) -> None:
    assert "none here" in run("apps", "list").stderr
    made = run("apps", "create", "--name", "CI", "--scope", "read", "--scope", "write")
    assert made.exit_code == 0, made.output
    # As a shell reads it, and as this command reads its environment.
    variables = dict(line.split("=") for line in made.stdout.splitlines())
    assert set(variables) == {"NEUROGRID_CLIENT_ID", "NEUROGRID_CLIENT_SECRET"}
    secret = variables["NEUROGRID_CLIENT_SECRET"]
    assert secret not in made.stderr
    client_id = variables["NEUROGRID_CLIENT_ID"]
    acting = {**variables, "NEUROGRID_API_URL": api.address, "NEUROGRID_NETWORK": ""}
    assert "alice" in run("account", **acting).stdout
    listed = run("apps", "list").stdout.splitlines()
    assert listed[1].split()[:3] == [client_id, "yes", "read,write"]
    rotated = _typed(run, "apps", "rotate", client_id)
    assert rotated["client_secret"] not in (None, secret)
    assert "alice" in run("account", **acting).stdout, "for a day"

    page = ("--name", "A page", "--redirect-uri", "https://page.example/done")
    public = _typed(run, "apps", "create", *page, "--public")
    assert public["client_secret"] is None
    shown = run("apps", "show", public["client_id"]).stdout
    assert "none: it is public" in shown
    assert "https://page.example/done" in shown
    refused = run("apps", "rotate", public["client_id"])
    assert (refused.exit_code, "has no secret" in refused.stderr) == (8, True)
    refused = run("apps", "create", "--name", "A page", "--redirect-uri", "http://page.example")
    assert (refused.exit_code, "redirect_uris[0]" in refused.stderr) == (2, True)
    assert client.applications.get(client_id).name == "CI"
    assert client.applications.list().total == 2

    gone = run("apps", "delete", client_id, public["client_id"])
    assert gone.stdout.splitlines() == [f"{client_id} deleted", f"{public['client_id']} deleted"]
    assert run("account", **acting).exit_code == 3
    assert run("apps", "show", client_id).exit_code == 4

    assert "no application" in run("apps", "grants").stderr

    async def allow(world: World) -> None:
        thing = await allowed_application(world, alice, "Somebody")
        grant_id = thing.parameters["grant_id"]
        # It counts from when the application has come for its tokens.
        await world.database.write(oauth.use_code, grant_id, world.now_ms)

    api.run(allow)
    (grant,) = client.applications.list_grants().grants
    assert grant.id in run("apps", "grants").stdout
    assert run("apps", "revoke", grant.id, grant.id).stdout == f"{grant.id} taken back\n" * 2
    assert _typed(run, "apps", "grants")["total"] == 0
    unable = api.run(lambda world: world.customer("bob"))
    with Client(unable.key, api.address) as of_bob, pytest.raises(PermissionDeniedError):
        of_bob.applications.list()


def _network(api: ServedWorld, customer: Customer, path: Path) -> Path:
    path.write_text(json.dumps({"api_url": api.address, "api_key": customer.key}))
    return path


def _typed(run: Run, *words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)

"""The account's events in the SDK and in ``neurogrid events``, against the real api."""

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

import neurogrid
from coordinator.api_world import TASK, Customer, World
from coordinator.served import ServedWorld
from neurogrid import Client
from neurogrid import events as sdk_events
from neurogrid.cli.group import neurogrid as command


@pytest.fixture
def alice(api: ServedWorld) -> Customer:
    return api.run(lambda world: world.customer("alice"))


@pytest.fixture
def client(api: ServedWorld, alice: Customer) -> Iterator[Client]:
    with Client(alice.key, api.address, retries_max=2) as client:
        yield client


def complete(api: ServedWorld, alice: Customer) -> str:
    async def done(world: World) -> str:
        task_id = str((await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"])
        await world.start(task_id)
        await world.finish(task_id)
        return task_id

    return api.run(done)


def test_events_are_listed_and_followed_across_streams_that_end(
    api: ServedWorld, alice: Customer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The world's streams end after 0.2 s: following goes on in another.
    monkeypatch.setattr(sdk_events, "_PAUSE_S", 0.01)
    task_id = complete(api, alice)
    page = client.events.list(types=["task.created", "task.completed"])
    assert [event.type for event in page.events] == ["task.created", "task.completed"]
    assert {event.fields["task_id"] for event in page.events} == {task_id}
    assert client.events.list(after=page.next_after).events == []
    coming = client.events.follow(after=0, types=["task.completed"])
    assert next(coming).fields["task_id"] == task_id
    another = complete(api, alice)
    told = next(coming)
    assert (told.type, told.fields["task_id"]) == ("task.completed", another)
    with pytest.raises(neurogrid.InvalidRequestError):
        client.events.list(types=["task.eaten"])


def test_the_command_prints_a_line_each(api: ServedWorld, alice: Customer) -> None:
    task_id = complete(api, alice)
    environment = {"NEUROGRID_API_URL": api.address, "NEUROGRID_API_KEY": alice.key}
    shown = CliRunner().invoke(command, ("events", "--type", "task.completed"), env=environment)
    assert shown.exit_code == 0, shown.output
    assert f"task.completed  {task_id}" in shown.stdout
    as_json = CliRunner().invoke(command, ("events", "--json"), env=environment)
    assert json.loads(as_json.stdout)[0]["type"] == "task.created"

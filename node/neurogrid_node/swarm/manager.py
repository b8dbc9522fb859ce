"""What is asked of a swarm's manager: services, their tasks, the machines; and a service that is changed."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from neurogrid_node.container.docker import DockerClient
from neurogrid_node.container.errors import ContainerGone, EngineRefused
from neurogrid_node.container.spec import LABEL_NODE
from neurogrid_node.container.views import ContainerView
from neurogrid_node.swarm.views import Member, job_view, member, newest

# Two managers, or an owner's hand: somebody has changed a service between look and change.
_TRIES: Final = 20
_OUT_OF_DATE: Final = "update out of sequence"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """All of this node's services at one moment, by their ids."""

    services: dict[str, Json]
    tasks: dict[str, Json]
    members: dict[str, Member]

    def view(self, service_id: str) -> ContainerView:
        """A job, as engines show them."""
        task = self.tasks.get(service_id)
        return job_view(self.services[service_id], task, self.member_of(task))

    def member_of(self, task: Json | None) -> Member | None:
        """The machine of a task, as far as both are known."""
        return self.members.get(str(task.get("NodeID", ""))) if task is not None else None


class Manager:
    """The swarm, as its manager on this machine tells it; ``node_id``: whose services."""

    def __init__(self, client: DockerClient, node_id: str) -> None:
        self._client = client
        self._api = client.api
        self._node_id = node_id

    async def nodes(self) -> list[Json]:
        """The swarm's machines, as it says it."""
        return await self._client.look(self._api.nodes)

    async def all_tasks(self) -> list[Json]:
        """Everybody's tasks."""
        return await self._client.look(self._api.tasks)

    async def service(self, job_id: str) -> Json:
        """A job's service, by its id or its name.

        Raises:
            ContainerGone: there is none.
            EngineError: the manager is away.
        """
        found: Json = await self._client.look(self._api.inspect_service, job_id)
        return found

    async def task(self, job_id: str) -> tuple[Json | None, Member | None]:
        """The newest task of a job's service, and its machine, as far as there are any."""
        tasks = await self._client.look(self._api.tasks, filters={"service": job_id})
        task = newest(tasks)
        if task is None:
            return None, None
        machine = None
        if task.get("NodeID"):
            with suppress(ContainerGone):
                machine = member(await self._client.look(self._api.inspect_node, task["NodeID"]))
        return dict(task), machine

    async def change(self, job_id: str, changed: Callable[[Json], Json]) -> None:
        """Replace a service's specification by what ``changed`` makes of the service.

        Raises:
            EngineRefused: others keep changing it, too.
            EngineError: as of `service`.
        """
        for _ in range(_TRIES):
            service = await self.service(job_id)
            path = f"/services/{service['ID']}/update"
            try:
                version = {"version": service["Version"]["Index"]}
                await self._client.change(self._client.post, path, changed(service), version)
                return
            except EngineRefused as error:
                if _OUT_OF_DATE not in str(error):
                    raise
        raise EngineRefused(f"somebody else keeps changing the service {job_id}")

    async def look(self) -> Look:
        """All of this node's services, now."""
        mine = {"label": f"{LABEL_NODE}={self._node_id}"}
        services = await self._client.look(self._api.services, filters=mine)
        tasks = await self._client.look(self._api.tasks, filters=mine)
        nodes = await self.nodes()
        by_service: dict[str, list[Json]] = {}
        for task in tasks:
            by_service.setdefault(str(task["ServiceID"]), []).append(task)
        return Look(
            services={str(service["ID"]): service for service in services},
            tasks={name: dict(newest(found) or {}) for name, found in by_service.items()},
            members={str(node["ID"]): member(node) for node in nodes},
        )


def essence(task: Json | None) -> tuple[str, str, str] | None:
    """What of a task has to differ for something to have happened."""
    if task is None:
        return None
    return str(task["ID"]), str(task["Status"]["State"]), str(task["DesiredState"])

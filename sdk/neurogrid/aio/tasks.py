"""Tasks: submit, change, watch, fetch, cancel. The arguments are document 003's, and our own beside them."""

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from os import PathLike
from typing import Any, Literal

from neurogrid_marketplace.registry_auth import REGISTRY_AUTH_PATH, RegistryAuth

from ..models import CancelResult, Task, TaskOutput, TaskPage, TaskStatus, TaskUpdate
from ..sealing import SealedTask
from ..task_body import Priority, Where, task_body
from .artifacts import Artifacts
from .inputs import Inputs, References, answer_silence_s, references_of, sealed_references
from .pages import each
from .patience import until_ended
from .sealed import Keys
from .task_access import TaskAccess
from .task_changes import TaskChanges
from .task_results import TaskResults
from .task_streams import updates
from .transport import ABSENCE_MAX_S, Transport


class Tasks(TaskAccess, TaskChanges, TaskResults):
    """The account's tasks."""

    def __init__(self, transport: Transport, artifacts: Artifacts, keys: Keys) -> None:
        TaskAccess.__init__(self, transport)
        TaskChanges.__init__(self, transport)
        TaskResults.__init__(self, transport, artifacts)
        self._keys = keys

    async def create(
        self,
        *,
        name: str = "",
        type: Literal["gpu", "cpu"] = "cpu",
        resource_requirements: Mapping[str, Any] | None = None,
        docker_image: str,
        command: Sequence[str] = (),
        max_price_per_hour: str,
        timeout_seconds: int = 3600,
        priority: Priority = "normal",
        priority_reason: str = "",
        deadline: datetime | None = None,
        deadline_policy: Literal["end", "run"] | None = None,
        env: Mapping[str, str] | None = None,
        inputs: Inputs | None = None,
        spread: Mapping[str, str] | None = None,
        avoid: Mapping[str, Sequence[str]] | None = None,
        depends_on: Sequence[str] = (),
        regions: Sequence[str] = (),
        where: Where = "",
        reveal_wallet: bool = False,
        sealed_bids: bool = False,
        preemptible: bool = False,
        reclaim_window_seconds: int = 0,
        queue_timeout_seconds: int | None = None,
        max_total_cost: str | None = None,
        wait_for_node: bool = False,
        verification: Mapping[str, Any] | None = None,
        gang: Mapping[str, Any] | None = None,
        checkpoint: Mapping[str, Any] | None = None,
        resume_from: Mapping[str, Any] | None = None,
        interactive: bool = False,
        service: Mapping[str, Any] | None = None,
        network: Mapping[str, Sequence[str]] | None = None,
        sealed: bool = False,
        registry_auth: tuple[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Task:
        """Submit a container job.

                Sending it again after a lost connection never submits twice: each call carries a key of its
                own, or yours.

        >>> task = await client.tasks.create(
        ...     docker_image="neurogrid/job:1",
        ...     command=["echo", "hello"],
        ...     max_price_per_hour="1.00",
        ... )
        >>> task.status
        'pending'

                Args:
                    type: "gpu" asks for at least one GPU.
                    resource_requirements: cpu_cores, gpu_memory_gb, gpu_count, gpu_model, ram_gb,
                        storage_gb; a GB is 10^9 bytes.
                    command: empty for the image's own.
                    max_price_per_hour: USDC, as in "10.00".
                    timeout_seconds: the longest the job may run; it is charged for what it ran.
                    priority: or 1 to 10, 10 is the most urgent.
                    priority_reason: why, for people.
                    deadline: when it has to have ended at the latest; an aware datetime.
                    deadline_policy: when that can't be kept any more and it has not begun: "end" it with
                        DEADLINE_MISSED (the default), or "run" it late.
                    inputs: path below /inputs -> a `pathlib.Path` to upload, an artifact's SHA-256, the
                        `TaskOutput` of a task that this one then depends on, or an ``https://`` URL that the
                        coordinator fetches before it answers, once; with ``#sha256=...`` it has to have that hash.
                    spread: ``{"group": "replicas", "by": "node"}``: shares no node ("wallet", "region") with
                        other tasks of the group while they run.
                    avoid: ``{"nodes": [...], "wallets": [...]}``: where it must not run.
                    depends_on: ids of tasks that must have completed before.
                    regions: any of these; empty for anywhere.
                    where: conditions on nodes, such as ``gpu.memory >= 24GB and score >= 0.8``, or clauses in
                        base units; docs/constraints.md has the language.
                    reveal_wallet: let the nodes that are asked know who pays; some take nobody else.
                    sealed_bids: nodes commit to their bids before anybody sees one.
                    preemptible: its node may take the machine back after a warning, and asks less for that; it is
                        paid for what it ran, and the task starts anew elsewhere.
                    reclaim_window_seconds: how long the warning has to be at least.
                    queue_timeout_seconds: how long it may wait for a node before it fails.
                    max_total_cost: USDC; the price per hour is lowered until the time limit costs no more.
                    wait_for_node: queue even if no known node could ever serve it.
                    verification: how the result is verified, such as {"mode": "quorum", "runs": 3} or
                        {"mode": "spot_check"}; money is held for those runs too. With ``"comparator": {"kind":
                        "numeric", "relative": "1e-6"}`` results may differ in their numbers by so much; with
                        ``{"kind": "image", "image": ...}`` an image of yours says which are the same.
                    gang: run it on several nodes at once, or on none: ``{"size": 4, "apart": "wallet"}``; each
                        member has a rank (``NEUROGRID_RANK``) and finds rank 0 at ``NEUROGRID_RENDEZVOUS``.
                    checkpoint: keep its work while it runs: ``{"path": "/checkpoint", "interval_seconds": 300,
                        "keep": 1}``, each of which may be left out. Where its node is lost or takes its machine
                        back, the next one goes on from there; docs/checkpoints.md says what the job has to do.
                    resume_from: begin from what another task has kept: ``{"task": id, "sequence": n}``; its
                        newest without a number.
                    interactive: commands may be run beside it while it runs (`exec`); only nodes whose owners allow
                        that are asked.
                    service: it listens at a port: ``{"port": 8080, "health": "/health", "start_seconds": 600}``, of which
                        the port alone will do; `Task.service.ready` says whether it is well, and `forward` takes you there while it runs. Only nodes
                        whose owners allow that are asked.
                    network: hosts that the job may reach, by HTTP and TLS: ``{"allow": ["example.org",
                        "*.example.com:8443"]}``; nothing if left out. `Task.network` says what it did and what it
                        was refused.
                    sealed: seal the inputs before they leave, so that only the node that gets the task can read
                        them. It then waits for a key, which `wait` and `stream` send when it is time: one of
                        them has to run, here or on any machine that has the key (`neurogrid keys serve`). All
                        inputs are local files then.
                    registry_auth: user name and password (or token) of the image's registry, sealed like the inputs:
                        only the node that gets the task reads them, for this pull alone. Implies ``sealed``.
                    idempotency_key: the same key with the same arguments returns the first task; sealing the
                        same files again makes other arguments of them.

                Raises:
                    InvalidRequestError, InsufficientFundsError, ProviderUnavailableError: before anything
                        was stored or paid.
                    ConflictError: the idempotency key was used for something else, or a task that it
                        depends on has failed.
        """
        files: dict[str, str | PathLike[str] | TaskOutput | bytes] = dict(inputs or {})
        kept: SealedTask | None = None
        if sealed or registry_auth is not None:
            if registry_auth is not None:
                files[REGISTRY_AUTH_PATH] = RegistryAuth(*registry_auth).to_bytes()
            references, kept = await sealed_references(
                self._artifacts, docker_image, command, env, files, network
            )
        else:
            references = await self.references(inputs or {})
        body = task_body(
            name=name,
            type=type,
            resource_requirements=resource_requirements,
            docker_image=docker_image,
            command=command,
            max_price_per_hour=max_price_per_hour,
            timeout_seconds=timeout_seconds,
            priority=priority,
            priority_reason=priority_reason,
            deadline=deadline,
            deadline_policy=deadline_policy,
            env=env,
            inputs=references,
            spread=spread,
            avoid=avoid,
            depends_on=depends_on,
            regions=regions,
            constraints=where,
            reveal_wallet=reveal_wallet,
            sealed_bids=sealed_bids,
            preemptible=preemptible,
            reclaim_window_seconds=reclaim_window_seconds or None,
            queue_timeout_seconds=queue_timeout_seconds,
            max_total_cost=max_total_cost,
            wait_for_node=wait_for_node,
            verification=verification,
            gang=gang,
            checkpoint=checkpoint,
            resume_from=resume_from,
            interactive=interactive,
            service=service,
            network=network,
        )
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        task = await self._transport.call(
            Task,
            "POST",
            "/tasks",
            json=body,
            headers=headers,
            silence_s=answer_silence_s(references),
        )
        if kept is not None:
            await self._keys.keep(task.id, kept)
        return task

    async def get(self, task_id: str) -> Task:
        """One task, with its leases and timeline.

        Raises:
            TaskNotFoundError: there is no such task of this account.
        """
        return await self._transport.call(Task, "GET", f"/tasks/{task_id}", task_id=task_id)

    async def list(
        self,
        *,
        status: TaskStatus | None = None,
        kind: Literal["container", "operation", "model", "replica", "use"] | None = None,
        model: str | None = None,
        name: str | None = None,
        workflow_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
        order: Literal["desc", "asc"] = "desc",
    ) -> TaskPage:
        """The account's tasks that fit, newest first unless ``order`` is "asc".

        >>> tasks = await client.tasks.list(status="running", limit=50)
        >>> len(tasks), tasks.total
        (0, 0)

        Args:
            model: an id of the catalogue; only tasks that ask it.
            name: occurs in the task's name, in any case.
            created_after: this moment, or later; without a zone, UTC. created_before: before this moment.
        """
        wanted: dict[str, str | None] = {
            "status": status,
            "kind": kind,
            "model": model,
            "name": name,
            "workflow_id": workflow_id,
            "created_after": created_after.isoformat() if created_after else None,
            "created_before": created_before.isoformat() if created_before else None,
        }
        params: dict[str, str | int] = {"limit": limit, "offset": offset, "order": order}
        params |= {key: value for key, value in wanted.items() if value is not None}
        return await self._transport.call(TaskPage, "GET", "/tasks", params=params)

    def iterate(
        self,
        *,
        status: TaskStatus | None = None,
        kind: Literal["container", "operation", "model", "replica", "use"] | None = None,
        model: str | None = None,
        name: str | None = None,
        workflow_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        order: Literal["desc", "asc"] = "desc",
        page_size: int = 100,
    ) -> AsyncGenerator[Task]:
        """All of the account's tasks that fit, each once, however many there are; see `list`.

        >>> async for task in client.tasks.iterate(name="no such name"):
        ...     print(task.id)

        Args:
            page_size: how many one request asks for.
        """
        which = partial(
            self.list,
            status=status,
            kind=kind,
            model=model,
            name=name,
            workflow_id=workflow_id,
            created_after=created_after,
            created_before=created_before,
            order=order,
        )
        return each(which, page_size)

    async def cancel(self, task_id: str) -> CancelResult:
        """End a task that waits or runs; delete one that has ended.

        >>> task = await client.tasks.create(
        ...     docker_image="neurogrid/job:1", max_price_per_hour="1.00"
        ... )
        >>> (await client.tasks.cancel(task.id)).status
        'cancelled'

        Raises:
            TaskNotFoundError: there is no such task of this account.
        """
        return await self._transport.call(
            CancelResult, "DELETE", f"/tasks/{task_id}", task_id=task_id
        )

    async def wait(self, task_id: str, *, timeout_s: float | None = None) -> Task:
        """The task once it has ended; a failed task is returned, not raised.

        A coordinator that is away for a minute is waited for. A sealed task gets its key meanwhile.

        Raises:
            WaitTimeout: it has not ended after ``timeout_s``. It goes on.
            IntegrityError: what was signed for a sealed task does not fit it; its key was not sent.
        """

        async def look() -> Task:
            task = await self._transport.call(
                Task, "GET", f"/tasks/{task_id}", task_id=task_id, patience_s=ABSENCE_MAX_S
            )
            if task.needs_key:
                await self._keys.send(task_id)
            elif task.sealed and task.ended:
                await self._keys.forget(task_id)
            return task

        return await until_ended(look, timeout_s)

    async def stream(self, task_id: str) -> AsyncGenerator[TaskUpdate]:
        """Every event of the task from its beginning, as they come, until it has ended.

        A broken connection is resumed after the last event that arrived. A sealed task gets its key
        meanwhile.

        Raises:
            IntegrityError: what was signed for a sealed task does not fit it; its key was not sent.
        """
        async with aclosing(updates(self._transport, task_id)) as told:
            async for update in told:
                if update.type == "task.needs_key":
                    await self._keys.send(task_id)
                elif update.ended:
                    await self._keys.forget(task_id)
                yield update

    async def references(self, inputs: Inputs) -> References:
        """Inputs as the API takes them; files are uploaded."""
        return await references_of(self._artifacts, inputs)

"""Tasks: submit, watch, fetch, cancel. The arguments are document 003's, and our own beside them."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, Literal, overload

import httpx
import msgspec

from .artifacts import Artifacts
from .models import (
    AuctionInfo,
    CancelResult,
    LogPage,
    OutputFile,
    Task,
    TaskOutput,
    TaskPage,
    TaskUpdate,
)
from .patience import until_ended
from .sealed import Keys, SealedTask, job_hash, seal_inputs
from .sse import read_events
from .transport import ABSENCE_MAX_S, STREAM_SILENCE_S, Transport

# The server returns at most this much of a log in one answer (document in its OpenAPI page).
_LOG_PAGE_BYTES = 1024 * 1024

TaskStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
# Conditions on nodes: a text, or the clauses that are signed.
Where = str | Sequence[Mapping[str, Any]]
Priority = Literal["high", "normal", "low"] | int
# Value: a pathlib path to upload, the SHA-256 of an artifact that is there already, or what another
# task will leave.
Inputs = Mapping[str, str | PathLike[str] | TaskOutput]
# Named here because inside the class `list` is the method.
_OutputFiles = list[OutputFile]
_Paths = list[Path]
_Auctions = list[AuctionInfo]
_References = list[dict[str, Any]]


class _OutputList(msgspec.Struct):
    outputs: list[OutputFile]


class _AuctionList(msgspec.Struct):
    auctions: list[AuctionInfo]


class _LogPiece(msgspec.Struct):
    text: str


class Tasks:
    """The account's tasks."""

    def __init__(self, transport: Transport, artifacts: Artifacts, keys: Keys) -> None:
        self._transport = transport
        self._artifacts = artifacts
        self._keys = keys

    def create(
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
        sealed: bool = False,
        idempotency_key: str | None = None,
    ) -> Task:
        """Submit a container job.

        Sending it again after a lost connection never submits twice: each call carries a key of its
        own, or yours.

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
            inputs: path below /inputs -> a `pathlib.Path` to upload, an artifact's SHA-256, or the
                `TaskOutput` of a task that this one then depends on.
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
            sealed: seal the inputs before they leave, so that only the node that gets the task can read
                them. It then waits for a key, which `wait` and `stream` send when it is time: one of
                them has to run, here or on any machine that has the key (`neurogrid keys serve`). All
                inputs are local files then.
            idempotency_key: the same key with the same arguments returns the first task; sealing the
                same files again makes other arguments of them.

        Raises:
            InvalidRequestError, InsufficientFundsError, ProviderUnavailableError: before anything
                was stored or paid.
            ConflictError: the idempotency key was used for something else, or a task that it
                depends on has failed.
        """
        files = inputs or {}
        kept: SealedTask | None = None
        if sealed:
            references, kept = self._sealed(docker_image, command, env, files)
        else:
            references = self.references(files)
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
        )
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        task = self._transport.call(Task, "POST", "/tasks", json=body, headers=headers)
        if kept is not None:
            self._keys.keep(task.id, kept)
        return task

    def get(self, task_id: str) -> Task:
        """One task, with its leases and timeline.

        Raises:
            TaskNotFoundError: there is no such task of this account.
        """
        return self._transport.call(Task, "GET", f"/tasks/{task_id}", task_id=task_id)

    def list(
        self,
        *,
        status: TaskStatus | None = None,
        workflow_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
        order: Literal["desc", "asc"] = "desc",
    ) -> TaskPage:
        """The account's tasks (of this workflow), newest first unless ``order`` is "asc"."""
        params: dict[str, str | int] = {"limit": limit, "offset": offset, "order": order}
        if status is not None:
            params["status"] = status
        if workflow_id is not None:
            params["workflow_id"] = workflow_id
        return self._transport.call(TaskPage, "GET", "/tasks", params=params)

    def cancel(self, task_id: str) -> CancelResult:
        """End a task that waits or runs; delete one that has ended.

        Raises:
            TaskNotFoundError: there is no such task of this account.
        """
        return self._transport.call(CancelResult, "DELETE", f"/tasks/{task_id}", task_id=task_id)

    def wait(self, task_id: str, *, timeout_s: float | None = None) -> Task:
        """The task once it has ended; a failed task is returned, not raised.

        A coordinator that is away for a minute is waited for. A sealed task gets its key meanwhile.

        Raises:
            WaitTimeout: it has not ended after ``timeout_s``. It goes on.
            IntegrityError: what was signed for a sealed task does not fit it; its key was not sent.
        """

        def look() -> Task:
            task = self._transport.call(
                Task, "GET", f"/tasks/{task_id}", task_id=task_id, patience_s=ABSENCE_MAX_S
            )
            if task.needs_key:
                self._keys.send(task_id)
            elif task.sealed and task.ended:
                self._keys.forget(task_id)
            return task

        return until_ended(look, timeout_s)

    def stream(self, task_id: str) -> Iterator[TaskUpdate]:
        """Every event of the task from its beginning, as they come, until it has ended.

        A broken connection is resumed after the last event that arrived. A sealed task gets its key
        meanwhile.

        Raises:
            IntegrityError: what was signed for a sealed task does not fit it; its key was not sent.
        """
        for update in self._updates(task_id):
            if update.type == "task.needs_key":
                self._keys.send(task_id)
            elif update.ended:
                self._keys.forget(task_id)
            yield update

    def _updates(self, task_id: str) -> Iterator[TaskUpdate]:
        last: str | None = None

        def attempt() -> Iterator[TaskUpdate]:
            nonlocal last
            headers = {"Last-Event-ID": last} if last is not None else {}
            with self._transport.stream(
                f"/tasks/{task_id}/events",
                headers=headers,
                task_id=task_id,
                silence_s=STREAM_SILENCE_S,
            ) as response:
                for event in read_events(response.iter_lines()):
                    if event.event == "end":
                        return
                    last = event.id
                    yield msgspec.json.decode(event.data, type=TaskUpdate)
            raise _stream_cut()

        return self._transport.resume(attempt)

    @overload
    def get_logs(self, task_id: str, lines: int = 100, follow: Literal[False] = False) -> str: ...

    @overload
    def get_logs(
        self, task_id: str, lines: int = 100, *, follow: Literal[True]
    ) -> Iterator[str]: ...

    def get_logs(self, task_id: str, lines: int = 100, follow: bool = False) -> str | Iterator[str]:
        """What the job printed, standard output and error together.

        Args:
            lines: so many from the end.
            follow: from there on, piece by piece, until the job has ended and all of it was sent.
        """
        if follow:
            return self._follow_logs(task_id, lines)
        return self._transport.call(
            LogPage, "GET", f"/tasks/{task_id}/logs", params={"lines": lines}, task_id=task_id
        ).text

    def all_logs(self, task_id: str) -> Iterator[str]:
        """The whole log that is stored now, from its beginning, piece by piece."""
        offset = 0
        while True:
            page = self._transport.call(
                LogPage,
                "GET",
                f"/tasks/{task_id}/logs",
                params={"offset": offset, "limit": _LOG_PAGE_BYTES},
                task_id=task_id,
            )
            if page.text:
                yield page.text
            if page.next_offset in (offset, page.total_bytes):
                return
            offset = page.next_offset

    def auctions(self, task_id: str) -> _Auctions:
        """Who bid for the task and who won: one auction for each lease, oldest first."""
        return self._transport.call(
            _AuctionList, "GET", f"/tasks/{task_id}/auctions", task_id=task_id
        ).auctions

    def outputs(self, task_id: str) -> _OutputFiles:
        """The files that the job left under /outputs; empty until it has completed."""
        return self._transport.call(
            _OutputList, "GET", f"/tasks/{task_id}/outputs", task_id=task_id
        ).outputs

    def download(
        self, task_id: str, directory: str | PathLike[str], *, paths: Sequence[str] | None = None
    ) -> _Paths:
        """Fetch outputs into ``directory``, each checked against its hash.

        Args:
            paths: only these; None for all.

        Raises:
            NotFoundError: the task has no such output.
            IntegrityError: a file is not what its hash says; nothing is left of it.
        """
        return self._artifacts.download_outputs(
            task_id, Path(directory), self.outputs(task_id), paths
        )

    def receipt(self, task_id: str, *, lease_id: str | None = None) -> bytes:
        """The signed receipt, byte for byte; `neurogrid verify` checks it offline.

        Args:
            lease_id: of an earlier attempt; None: the lease under which the task ended.

        Raises:
            NotSettledError: the money has not moved yet; ``missing`` says what is lacking.
            NotFoundError: nothing was run and paid for.
        """
        params = {"lease_id": lease_id} if lease_id is not None else {}
        path = f"/tasks/{task_id}/receipt"
        return self._transport.send("GET", path, params=params, task_id=task_id).content

    def _follow_logs(self, task_id: str, lines: int) -> Iterator[str]:
        last: str | None = None

        def attempt() -> Iterator[str]:
            nonlocal last
            with self._transport.stream(
                f"/tasks/{task_id}/logs",
                params={"follow": "true", "lines": lines},
                headers={"Last-Event-ID": last} if last is not None else {},
                task_id=task_id,
                silence_s=STREAM_SILENCE_S,
            ) as response:
                for event in read_events(response.iter_lines()):
                    if event.event == "end":
                        return
                    text = msgspec.json.decode(event.data, type=_LogPiece).text
                    last = event.id
                    if text:
                        yield text
            raise _stream_cut()

        return self._transport.resume(attempt)

    def _sealed(
        self, image: str, command: Sequence[str], env: Mapping[str, str] | None, inputs: Inputs
    ) -> tuple[_References, SealedTask]:
        """The inputs, sealed and uploaded, as a request names them; and what has to be kept."""
        content_key, files = seal_inputs(self._artifacts, inputs)
        references = [{"path": item.path, "sha256": item.sha256, "sealed": True} for item in files]
        digest = job_hash(image, tuple(command), env or {}, files)
        return references, SealedTask(content_key.hex(), digest)

    def references(self, inputs: Inputs) -> _References:
        """Inputs as the API takes them; files are uploaded."""
        return [{"path": path, **self._source(source)} for path, source in inputs.items()]

    def _source(self, source: str | PathLike[str] | TaskOutput) -> dict[str, str]:
        if isinstance(source, TaskOutput):
            return {"from_task": source.task_id, "output": source.path}
        if isinstance(source, str):
            return {"sha256": source}
        return {"sha256": self._artifacts.upload(source).sha256}


def task_body(**values: Any) -> dict[str, Any]:
    """The JSON body of a task: what is empty is left to the server's defaults."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None and value != "" and value is not False and value != () and value != []
    }


def _stream_cut() -> Exception:
    # A stream that ends without its "end" event was cut off, e.g. by a coordinator that restarts.
    return httpx.RemoteProtocolError("the stream ended early")

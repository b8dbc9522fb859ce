"""Asking a model in OpenAI's form: the one door between clients and whatever computes the answer.

Who asks here gets an answer as it is to be sent, or its pieces as they come, or a refusal; nothing here knows HTTP. A replica of
the model answers what its server can (`replica_answers`); else a task computes it (`task_answers`).
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from neurogrid_marketplace.model_catalogue import Model

from ..openai import by_task
from ..openai.by_replica import unstreamed
from ..openai.fields import Unsupported
from ..openai.requests import Request
from ..store.accounts import Account
from .errors import NoReplica, Refused
from .kept_answers import KeptAnswers, Turn, used_for_another
from .model_questions import Answer, Asked
from .models import ModelSettings, find_model
from .replica_answers import ReplicaAnswers, Wanted
from .task_answers import TaskAnswers
from .whole_answers import Said, answer_of, events_of_whole


class Inference:
    """Asks models."""

    def __init__(
        self,
        settings: ModelSettings,
        tasks: TaskAnswers,
        kept: KeptAnswers,
        replicas: ReplicaAnswers | None = None,
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._kept = kept
        self._replicas = replicas

    def check(self, asked: Asked) -> None:
        """See that a request can be asked, as far as that is known before anybody is.

        Raises:
            ModelUnavailable: there is no such model, or it is of another kind.
            NobodyAnswered: only servers answer for it.
            InvalidRequest: the model cannot do what is asked, or a value breaks a rule.
        """
        if self._able(asked) is None:
            self._tasks.prepared(asked.request)

    async def answer(self, account: Account, asked: Asked) -> Answer:
        """The whole answer; who is cancelled while it waits has nothing computed and pays for nothing more.

        Raises:
            as `check`.
            NodeUnavailable, NobodyAnswered: nobody could serve it, or did in time.
            NotAnswered: who computed it failed, or answered nothing that can be read.
            IdempotencyMismatch, Conflict: its key was used for another request, or is being used.
            others: see `Tasks.submit` and `ReplicaAnswers`.
        """
        async with self._said(account, asked) as said:
            if said is None:
                return await self._tasks.whole(account, asked)
            return answer_of(asked.request, said)

    async def pieces(self, account: Account, asked: Asked) -> AsyncGenerator[bytes]:
        """The same in pieces: the JSON of each event of a stream; closing it early is as being cancelled.

        A request with an idempotency key is answered as a whole, and then has its events: what has been passed on would be paid, and
        could not be kept yet.

        Raises:
            as `answer`, before the first piece or after any.
        """
        if asked.idempotency_key is None:
            replicas = self._able(asked)
            if replicas is not None:
                try:
                    async with aclosing(replicas.pieces(account, self._wanted(asked))) as pieces:
                        async for piece in pieces:
                            yield piece
                    return
                except NoReplica:
                    # Nothing of it has come.
                    if not self._does_a_task(asked.request, self._found(asked.request)):
                        raise
            async with aclosing(self._tasks.pieces(account, asked)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        async with self._said(account, asked) as said:
            if said is not None:
                for piece in events_of_whole(asked.request, said):
                    yield piece
                return
            async with aclosing(self._tasks.pieces(account, asked)) as pieces:
                async for piece in pieces:
                    yield piece

    async def is_by_replica(self, account: Account, asked: Asked) -> bool:
        """Whether a replica is to answer this, or has; else a task computes it.

        What a server cannot do and a program can is a task; and what came before with the same key stays what it was.

        Raises:
            ModelUnavailable: as `check`.
            InvalidRequest: neither can.
        """
        key = asked.idempotency_key
        if key is not None:
            if await self._kept.is_kept(account, key):
                return True
            if await self._kept.is_task(account, key):
                return False
        return self._able(asked) is not None

    async def require_unanswered(self, account: Account, key: str) -> None:
        """See that no replica has answered a request with this key, before a task is made of one that none can answer.

        Raises:
            IdempotencyMismatch: one has: that was another request.
        """
        if await self._kept.is_kept(account, key):
            raise used_for_another(key)

    @asynccontextmanager
    async def _said(self, account: Account, asked: Asked) -> AsyncIterator[Said | None]:
        """All that a replica says, or has said to the same request before; None: a task answers it, while this lasts."""
        model, key = self._found(asked.request), asked.idempotency_key
        if key is None:
            yield await self._by_replica(account, asked)
            return
        if self._replicas is None or not self._replicas.answers(asked.request, model):
            # Tasks know their keys themselves.
            yield await self._kept.find(account, asked, key, model)
            return
        async with self._kept.turn(account, asked, key) as turn:
            said = await self._kept.find(account, asked, key, model)
            if said is None and not await self._kept.is_task(account, key):
                said = await self._by_replica(account, asked, turn)
            yield said

    async def _by_replica(
        self, account: Account, asked: Asked, turn: Turn | None = None
    ) -> Said | None:
        """What a replica says now; None: none can, and a task can."""
        replicas = self._able(asked)
        if replicas is None:
            return None
        if turn is not None:
            await self._kept.require_room(account)
        try:
            return await replicas.whole(account, self._wanted(asked), turn)
        except NoReplica:
            if not self._does_a_task(asked.request, self._found(asked.request)):
                raise
            return None

    def _able(self, asked: Asked) -> ReplicaAnswers | None:
        """Who asks replicas, where one can answer this.

        Raises:
            ModelUnavailable: as `check`.
            InvalidRequest: neither a replica nor a task can.
        """
        model = self._found(asked.request)
        if self._replicas is None or not self._replicas.answers(asked.request, model):
            return None
        try:
            self._replicas.require_able(self._wanted(asked))
        except Unsupported:
            if not self._does_a_task(asked.request, model):
                raise
            return None
        return self._replicas

    def _does_a_task(self, request: Request, model: Model) -> bool:
        try:
            self._tasks.prepared(request)
        except Refused:
            return False
        return model.tasks

    def _wanted(self, asked: Asked) -> Wanted:
        if asked.idempotency_key is not None:
            asked = replace(asked, request=unstreamed(asked.request))
        return Wanted(asked, self._found(asked.request), self._settings.wait_s)

    def _found(self, request: Request) -> Model:
        return find_model(self._settings, request.model, by_task.TYPES[type(request)])

"""Asking a model in OpenAI's form: the one door between clients and whatever computes the answer.

Who asks here gets an answer as it is to be sent, or its pieces as they come, or a refusal; nothing here knows HTTP. A replica of
the model answers what its server can (`replica_answers`); else a task computes it (`task_answers`).
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from neurogrid_marketplace.model_catalogue import Model

from ..openai import by_task
from ..openai.fields import Unsupported
from ..openai.requests import Request
from ..store.accounts import Account
from .errors import InvalidRequest, NoReplica, Refused
from .model_questions import Answer, Asked
from .models import ModelSettings, find_model
from .replica_answers import ReplicaAnswers, Wanted
from .task_answers import TaskAnswers


class Inference:
    """Asks models."""

    def __init__(
        self, settings: ModelSettings, tasks: TaskAnswers, replicas: ReplicaAnswers | None = None
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._replicas = replicas

    def check(self, asked: Asked) -> None:
        """See that a request can be asked, as far as that is known before anybody is.

        Raises:
            ModelUnavailable: there is no such model, or it is of another kind.
            NobodyAnswered: only servers answer for it.
            InvalidRequest: the model cannot do what is asked, or a value breaks a rule.
        """
        if self.by_replica(asked) is None:
            self._tasks.prepared(asked.request)

    async def answer(self, account: Account, asked: Asked) -> Answer:
        """The whole answer; who is cancelled while it waits has nothing computed and pays for nothing more.

        Raises:
            as `check`.
            NodeUnavailable, NobodyAnswered: nobody could serve it, or did in time.
            NotAnswered: who computed it failed, or answered nothing that can be read.
            others: see `Tasks.submit` and `ReplicaAnswers`.
        """
        replicas = self.by_replica(asked)
        if replicas is not None:
            try:
                return await replicas.whole(account, self._wanted(asked))
            except NoReplica:
                if not self._does_a_task(asked.request, self._found(asked.request)):
                    raise
        return await self._tasks.whole(account, asked)

    async def pieces(self, account: Account, asked: Asked) -> AsyncGenerator[bytes]:
        """The same in pieces: the JSON of each event of a stream; closing it early is as being cancelled.

        Raises:
            as `answer`, before the first piece or after any.
        """
        replicas = self.by_replica(asked)
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

    def by_replica(self, asked: Asked) -> ReplicaAnswers | None:
        """Who asks replicas, where one is to answer this; None: a task computes it.

        What a server cannot do and a program can is a task. The same answer again is kept of tasks alone, so who sends a key for that
        has one where there can be one.

        Raises:
            ModelUnavailable: as `check`.
            InvalidRequest: neither can.
        """
        model = self._found(asked.request)
        if self._replicas is None or not self._replicas.answers(asked.request, model):
            return None
        if asked.idempotency_key is not None:
            if not model.tasks:
                raise InvalidRequest(
                    f"Idempotency-Key: answers of {model.id} are not kept; send none",
                    "Idempotency-Key",
                )
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
        return Wanted(asked, self._found(asked.request), self._settings.wait_s)

    def _found(self, request: Request) -> Model:
        return find_model(self._settings, request.model, by_task.TYPES[type(request)])

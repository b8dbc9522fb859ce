"""The line between a payer and a ledger: it loses half of everything, and it kills both.

Everything is drawn from a seed and counted in requests, never timed: a slow machine changes how long a
test takes, and not what it may conclude.
"""

import base64
import contextlib
import http.client
import json
import random
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

from neurogrid_wallet.transactions import signature_of
from wallet.fake_rpc import LostReply, Refusal

Kill = Callable[[], bool]
"""Ends a process with SIGKILL; False, and nothing happens, if it is not alive now."""

# Of all requests a quarter never arrives; of all replies a quarter never comes back.
_REQUESTS_LOST = 0.25
_REPLIES_LOST = 0.5
# Of all transactions, those that are lost however often they are sent: only expiry ends them.
_DOOMED = 0.1
# How often a lost transaction that was only slow arrives with another request.
_LATE = 0.2


class _Moment(Enum):
    """When a request's kill happens."""

    BEFORE = auto()
    DURING = auto()
    AFTER = auto()


class Line:
    """Carries JSON-RPC calls, or loses them; is the answer function of ``fake_rpc.serve``.

    Attributes:
        kills: how many are done.
        sent, doomed: the signatures that went over it, and those that it loses every time.
        lost_replies: the signatures that arrived and whose sender was not told.
    """

    def __init__(
        self,
        ledger_url: Callable[[], str | None],
        seed: int,
        kills: Sequence[Kill] = (),
        sends_between_kills: tuple[int, int] = (1, 1),
    ) -> None:
        """
        Args:
            ledger_url: where the ledger is now; None while it is dead.
            kills: what is killed, one after the other.
            sends_between_kills: at least and at most.
        """
        self.kills = 0
        self.sent: set[str] = set()
        self.doomed: set[str] = set()
        self.lost_replies: set[str] = set()
        self._ledger_url = ledger_url
        self._random = random.Random(seed)
        self._kills_left = list(kills)
        self._sends_between_kills = sends_between_kills
        self._sends_to_kill = self._random.randint(*sends_between_kills)
        self._late: list[list[Any]] = []

    def carry(self, method: str, params: list[Any]) -> Any:
        """The result of a call.

        Raises:
            LostReply: the request or the reply was lost; nobody tells which.
            Refusal: the ledger's error.
        """
        sending = method == "sendTransaction"
        signature = signature_of(base64.b64decode(params[0])) if sending else ""
        if sending and self._loses_for_good(signature):
            raise LostReply
        self._deliver_late()
        fate, moment = self._random.random(), self._random.choice(list(_Moment))
        kills = self._sends_to_kill <= 0
        if kills and moment is _Moment.BEFORE:
            self._kill()
        if fate < _REQUESTS_LOST:
            if sending:
                self._late.append(params)
            raise LostReply
        result = self._forward(method, params, kills and moment is _Moment.DURING)
        if kills and moment is _Moment.AFTER:
            self._kill()
        if fate < _REPLIES_LOST:
            if sending:
                self.lost_replies.add(signature)
            raise LostReply
        return result

    def _loses_for_good(self, signature: str) -> bool:
        self._sends_to_kill -= 1
        if signature not in self.sent and self._random.random() < _DOOMED:
            self.doomed.add(signature)
        self.sent.add(signature)
        return signature in self.doomed

    def _deliver_late(self) -> None:
        """What was lost may only have been slow, and may outlive the process that sent it."""
        if self._late and self._random.random() < _LATE:
            params = self._late.pop(self._random.randrange(len(self._late)))
            with contextlib.suppress(Refusal, LostReply):
                self._forward("sendTransaction", params)

    def _kill(self) -> None:
        if self._kills_left and self._kills_left[0]():
            self._kills_left.pop(0)
            self.kills += 1
            self._sends_to_kill = self._random.randint(*self._sends_between_kills)

    def _forward(self, method: str, params: list[Any], kill_during: bool = False) -> Any:
        url = self._ledger_url()
        if url is None:
            raise LostReply
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        try:
            connection.request("POST", "/", body.encode(), {"content-type": "application/json"})
            if kill_during:
                self._kill()
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException) as error:
            raise LostReply from error
        finally:
            connection.close()
        if "error" in answer:
            raise Refusal(**answer["error"])
        return answer["result"]

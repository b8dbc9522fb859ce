"""Whose turn it is: queued tasks, the most urgent first (`deadlines`), without futile auctions.

Tasks that would meet the market alike wait in one line. When the first of a line finds no node, the others would not
either: the line is blocked, and costs nothing until

- a node has an opening for it (`openings`): then as many of its tasks have a turn as the node has room for, the most
  urgent of all blocked lines first;
- a task of its spread group, or another run of its result, has left a place;
- its time has come. Where somebody was asked and did not take the task, that is the task's own pause (it was busy for
  a moment). Where nobody could be asked it is `FALLBACK_MS`, and longer each time, in case that something was
  missed. Of the first tries there is one in `RETRY_GAP_MS` at most, of the others one in `FALLBACK_GAP_MS`, however
  many lines wait.

So auctions are held per chance of a node, not per waiting task. After a restart, lines whose tasks had been auctioned
begin blocked: nodes connect anew, and each that does is an opening.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neurogrid_marketplace.deadlines import Urgency, urgency
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.standing import Standing
from neurogrid_marketplace.task import Task

from .waiting_chances import Chance, Chances
from .waiting_line import Key, Line, Shape, demand_of_line, kin_of, shape_of

# Waiting makes tasks more urgent: how often their places are made anew.
_REORDER_MS = 60_000
# When a line for which nobody could be asked is tried again although nothing has changed for it, at first and at most.
FALLBACK_MS = 60_000
FALLBACK_MAX_MS = 300_000
# How far apart such tries are, and those where somebody was asked. An auction takes some 5 ms of one core.
FALLBACK_GAP_MS = 500
RETRY_GAP_MS = 50
# By so many parts of itself a fallback comes sooner or later, so that lines do not try together.
_JITTER = 4


@dataclass(frozen=True, slots=True)
class _Out:
    """A task that has its turn.

    Attributes:
        node_id: whose opening it has its turn by, "" for none.
        opened: that opening's number.
        is_try: it tries for its blocked line.
    """

    line: Line
    urgency: Urgency
    account_id: str
    node_id: str = ""
    opened: int = 0
    is_try: bool = False


# Why a task is among the heads: its line is open, or due, or a node has an opening for it.
_Head = tuple[Key, int, int, Chance | None]


class WaitingRoom:
    """Ids of queued tasks; bounded by the number of tasks that are queued in the database.

    Whoever `take`s a task says what became of it: `failed` or `over`.
    """

    def __init__(self) -> None:
        self._lines: dict[Shape, Line] = {}
        self._numbered: dict[int, Line] = {}
        self._created = 0
        self._line_of: dict[str, Line] = {}
        self._urgencies: dict[str, Urgency] = {}
        self._accounts: dict[str, str] = {}
        self._waiting_of: Counter[str] = Counter()
        self._kin: dict[str, set[int]] = {}
        self._out: dict[str, _Out] = {}
        # May hold stale entries: checked when taken.
        self._heads: list[_Head] = []
        self._pushed = 0
        self._ordered_ms = 0
        # Blocked lines by when they try again; with stale entries.
        self._soon: list[tuple[int, int]] = []
        self._later: list[tuple[int, int]] = []
        # Before that, none of each is tried.
        self._soon_from_ms = 0
        self._later_from_ms = 0
        # Blocked lines, the most urgent first; None: to be made anew.
        self._blocked: list[int] | None = None
        self._chances = Chances(self._numbered, self._blocked_lines)

    @property
    def wakes(self) -> int:
        """How many changes it has been told."""
        return self._chances.changes

    @property
    def is_looking(self) -> bool:
        """Whether `take` has not looked at everything yet: call it again, after others had a turn."""
        return self._chances.is_looking

    def __len__(self) -> int:
        return len(self._line_of)

    # --- tasks ------------------------------------------------------------------------------------

    def add(
        self, task: Task, priority: int, account_id: str = "", *, waits_from_ms: int | None = None
    ) -> None:
        """A queued task takes its place; one that has a place, or its turn, keeps it.

        Args:
            waits_from_ms: now, where it was auctioned before a restart: unless others of its line are tried
                already, it waits for a change.
        """
        task_id = task.task_id
        if task_id in self._line_of or task_id in self._out:
            return
        ahead = self._waiting_of[account_id]
        self._enter(task, urgency(task, priority, ahead=ahead), account_id, waits_from_ms)

    def renew(self, task: Task, priority: int, account_id: str = "") -> None:
        """As `add`; one that is asked for otherwise than when it took its place takes another."""
        line = self._line_of.get(task.task_id)
        if line is not None:
            before = self._urgencies[task.task_id]
            now = urgency(task, priority, ahead=before.ahead)
            if line.shape != shape_of(task) or now != before:
                self.drop(task.task_id)
                self._enter(task, now, account_id, None)
        self.add(task, priority, account_id)

    def drop(self, task_id: str) -> None:
        """A task waits no longer; nothing happens if it does not."""
        line = self._line_of.pop(task_id, None)
        if line is None:
            return
        line.leave(task_id)
        del self._urgencies[task_id]
        self._forget_account(self._accounts.pop(task_id))
        self._forget_empty(line)

    def take(self, now_ms: int) -> str | None:
        """The task whose turn it is, which has it from now on; None if all lines are blocked or empty."""
        if now_ms - self._ordered_ms >= _REORDER_MS:
            self._reorder(now_ms)
        self._ring(now_ms)
        for key, line, chance in self._chances.look():
            self._push(key, line.number, chance)
        while self._heads:
            key, _, number, by = heapq.heappop(self._heads)
            if by is not None:
                self._chances.used(by)
            its_line = self._numbered.get(number)
            if its_line is None or its_line.head() != key or not self._may_go(its_line, by):
                continue
            self._let_go(its_line, key[-1], by)
            return key[-1]
        return None

    def failed(
        self, task: Task, now_ms: int, wakes: int, *, asked: bool, retry_at_ms: int = 0
    ) -> None:
        """This task found no node, and takes its place again: its line waits.

        Args:
            wakes: how many there were when it began to look; what has changed since may be something for it.
            asked: whether any node was asked.
            retry_at_ms: where one was: when it may be asked again.
        """
        out = self._out.pop(task.task_id, None)
        if out is None:
            return
        self._chances.given_back(out.node_id, task.task_id, number=out.opened, failed=out.line)
        self._forget_account(out.account_id)
        line = self._enter(task, out.urgency, out.account_id, None)
        retry_ms = retry_at_ms if asked else None
        if out.is_try:
            out.line.is_trying = False
            if line is not out.line:
                self._block(out.line, task, now_ms, retry_ms)
        if asked or out.is_try or not line.is_blocked:
            self._block(line, task, now_ms, retry_ms)
        self._leave(out.line)
        if wakes < max(self._chances.forgotten, line.changed):
            self._try_at(line, now_ms)
        self._chances.missed(line, wakes)

    def over(self, task_id: str, node_id: str = "") -> None:
        """A task's turn has ended otherwise: it has found a node, or has ended.

        Args:
            node_id: of the node, if it found one.
        """
        out = self._out.pop(task_id, None)
        if out is None:
            return
        line = out.line
        if out.node_id == node_id:
            self._chances.taken(node_id, task_id)
        else:
            self._chances.given_back(out.node_id, task_id, number=out.opened, failed=None)
        if out.is_try:
            line.is_trying = False
        if node_id and (out.is_try or out.node_id not in ("", node_id)):
            # There is more room than its line knew of.
            self._unblock(line)
        elif out.is_try:
            # It was cancelled meanwhile; another of its line tries.
            self._try_at(line, line.due_ms)
        self._forget_account(out.account_id)
        self._leave(line)

    # --- changes ----------------------------------------------------------------------------------

    def node_opened(self, offer: Offer) -> None:
        """A node came, offers something else, or has more to give."""
        self._chances.opened(offer)
        if self._chances.are_too_many:
            self.wake()

    def node_left(self, node_id: str) -> None:
        """A node is gone."""
        self._chances.left(node_id)

    def stand(self, standings: Mapping[str, Standing], offers: Mapping[str, Offer]) -> None:
        """This is known of these nodes from now on.

        Args:
            offers: of those that are connected.
        """
        for node_id, standing in standings.items():
            offer = offers.get(node_id)
            if offer is not None and self._chances.stand(node_id, standing):
                self.node_opened(offer)

    def place_left(self, task: Task, now_ms: int) -> None:
        """A task has left its node: those that keep apart from it may have the place."""
        for kin in kin_of(task):
            for number in self._kin.get(kin, ()):
                self._chances.changes += 1
                line = self._numbered[number]
                line.changed = self.wakes
                self._try_at(line, now_ms)

    def wake(self) -> None:
        """So much has changed that every line may try."""
        self._chances.forget_all()
        for line in list(self._numbered.values()):
            if line.is_blocked:
                self._unblock(line)

    def next_due_ms(self) -> int | None:
        """When the first blocked line tries again; None if none is blocked."""
        self._forget_stale(self._soon)
        self._forget_stale(self._later)
        due = [max(at_ms, self._soon_from_ms) for at_ms, _ in self._soon[:1]]
        due += [max(at_ms, self._later_from_ms) for at_ms, _ in self._later[:1]]
        return min(due, default=None)

    # --- lines ------------------------------------------------------------------------------------

    def _enter(self, task: Task, its: Urgency, account_id: str, waits_from_ms: int | None) -> Line:
        shape = shape_of(task)
        line = self._lines.get(shape)
        if line is None:
            self._created += 1
            line = Line(self._created, shape, demand_of_line(task), kin=kin_of(task))
            self._lines[shape] = self._numbered[line.number] = line
            for kin in line.kin:
                self._kin.setdefault(kin, set()).add(line.number)
            if waits_from_ms is not None:
                self._block(line, task, waits_from_ms, None)
        if line.is_blocked and not line.places:
            self._blocked = None
        self._urgencies[task.task_id] = its
        self._accounts[task.task_id] = account_id
        self._waiting_of[account_id] += 1
        self._line_of[task.task_id] = line
        line.add((*its.key(self._ordered_ms), task.task_id))
        if line.head() == line.places[task.task_id]:
            self._offer(line)
        return line

    def _leave(self, line: Line) -> None:
        line.out -= 1
        self._forget_empty(line)

    def _forget_empty(self, line: Line) -> None:
        if line.places or line.out:
            return
        self._blocked = None if line.is_blocked else self._blocked
        del self._lines[line.shape], self._numbered[line.number]
        for kin in line.kin:
            self._kin[kin].discard(line.number)
            if not self._kin[kin]:
                del self._kin[kin]

    def _forget_account(self, account_id: str) -> None:
        self._waiting_of[account_id] -= 1
        if not self._waiting_of[account_id]:
            del self._waiting_of[account_id]

    def _offer(self, line: Line) -> None:
        """Put the line's first among the heads, if it may go by itself."""
        key = line.head()
        if key is not None and (not line.is_blocked or (line.is_due and not line.is_trying)):
            self._push(key, line.number, None)

    def _push(self, key: Key, number: int, by: Chance | None) -> None:
        # The count keeps the heap from comparing what is behind it.
        self._pushed += 1
        heapq.heappush(self._heads, (key, self._pushed, number, by))

    def _may_go(self, line: Line, by: Chance | None) -> bool:
        if by is None:
            return not line.is_blocked or (line.is_due and not line.is_trying)
        is_there = line.is_blocked and self._chances.is_current(by)
        return is_there and line.may_use(by.opening, by.opening.serves)

    def _let_go(self, line: Line, task_id: str, by: Chance | None) -> None:
        del self._line_of[task_id]
        is_try = by is None and line.is_blocked
        if by is not None:
            by.opening.claim(task_id, line.demand.requirements)
        if is_try:
            line.is_due, line.is_trying = False, True
        its, account_id = self._urgencies.pop(task_id), self._accounts.pop(task_id)
        node_id, opened = (by.node_id, by.number) if by is not None else ("", 0)
        self._out[task_id] = _Out(line, its, account_id, node_id, opened, is_try)
        line.out += 1
        line.leave(task_id)
        self._offer(line)

    def _block(self, line: Line, task: Task, now_ms: int, retry_at_ms: int | None) -> None:
        if not line.is_blocked:
            line.is_blocked, self._blocked = True, None
        line.is_due = False
        if retry_at_ms is not None:
            line.futile = 0
            self._try_at(line, max(retry_at_ms, now_ms))
            return
        pause_ms = min(FALLBACK_MS << min(line.futile, 8), FALLBACK_MAX_MS)
        line.futile += 1
        line.due_ms = now_ms + _jittered(pause_ms, task)
        heapq.heappush(self._later, (line.due_ms, line.number))
        rested_ms = min((at for at in task.resting.values() if at > now_ms), default=None)
        if rested_ms is not None and rested_ms < line.due_ms:
            self._try_at(line, rested_ms)

    def _try_at(self, line: Line, at_ms: int) -> None:
        """Have one of a blocked line try then."""
        if line.is_blocked:
            line.due_ms = at_ms
            heapq.heappush(self._soon, (at_ms, line.number))

    def _unblock(self, line: Line) -> None:
        if line.is_blocked:
            line.is_blocked, self._blocked = False, None
            line.futile, line.is_due = 0, False
            self._offer(line)

    def _ring(self, now_ms: int) -> None:
        """Let lines try whose time has come."""
        if self._is_rung(self._soon, now_ms, self._soon_from_ms):
            self._soon_from_ms = now_ms + RETRY_GAP_MS
        if self._is_rung(self._later, now_ms, self._later_from_ms):
            self._later_from_ms = now_ms + FALLBACK_GAP_MS

    def _is_rung(self, queue: list[tuple[int, int]], now_ms: int, from_ms: int) -> bool:
        """Have the first of a queue try, if there is one whose time has come."""
        self._forget_stale(queue)
        if now_ms < from_ms or not queue or queue[0][0] > now_ms:
            return False
        line = self._numbered[heapq.heappop(queue)[1]]
        line.is_due = True
        self._offer(line)
        return True

    def _forget_stale(self, queue: list[tuple[int, int]]) -> None:
        while queue:
            due_ms, number = queue[0]
            line = self._numbered.get(number)
            if line is not None and line.is_blocked and line.due_ms == due_ms and not line.is_due:
                return
            heapq.heappop(queue)

    def _reorder(self, now_ms: int) -> None:
        """Give every task the place that it has now."""
        self._ordered_ms = now_ms
        self._heads.clear()
        self._blocked = None
        for line in self._numbered.values():
            line.order((*self._urgencies[each].key(now_ms), each) for each in line.places)
            self._offer(line)
        self._chances.again()

    def _blocked_lines(self) -> Sequence[int]:
        if self._blocked is None:
            heads = [
                (line.head(), line.number) for line in self._numbered.values() if line.is_blocked
            ]
            some = [(head, number) for head, number in heads if head is not None]
            self._blocked = [number for _, number in sorted(some)]
        return self._blocked


def _jittered(pause_ms: int, task: Task) -> int:
    """A pause up to a quarter shorter or longer; the same for the same auction, so that replays agree."""
    digest = hashlib.sha256(f"{task.task_id}:{task.auctions}".encode()).digest()
    part = int.from_bytes(digest[:4], "big") * 2 * pause_ms // _JITTER >> 32
    return pause_ms - pause_ms // _JITTER + part

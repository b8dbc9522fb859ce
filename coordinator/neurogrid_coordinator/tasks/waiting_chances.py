"""What nodes have to give, held against the lines that are blocked, the most urgent first.

A change costs a look at each blocked line, so many at a time that others have their turn between.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.openings import Opening, has_risen
from neurogrid_marketplace.standing import UNKNOWN, Standing

from .waiting_line import Key, Line

# Nodes with openings that are still being held against lines; beyond that every line may try.
_OPENINGS_MAX = 256
# And with those that were, so that who was being auctioned meanwhile does not miss them.
_REMEMBERED_MAX = 1_024
# Lines that are held against openings at a time: a few milliseconds.
_LOOKS_MAX = 500


@dataclass(slots=True)
class Chance:
    """An opening, and how far it has been held against the blocked lines.

    Attributes:
        number: of the change that made it.
        lines: those that were blocked then, the most urgent first, and those that it was missed by since; None:
            it was held against none yet.
        at: which of them is next.
        is_offered: a task was named that may have its turn by it, and has not had it.
    """

    opening: Opening
    number: int
    lines: list[int] | None = None
    at: int = 0
    is_offered: bool = False

    @property
    def node_id(self) -> str:
        """Whose it is."""
        return self.opening.offer.node_id


class Chances:
    """The openings of all nodes that are connected.

    Attributes:
        changes: how many there were.
        forgotten: changes up to this one are not remembered.

    Args:
        lines: all, by number.
        blocked: the numbers of those that are blocked and not empty, the most urgent first.
    """

    def __init__(self, lines: Mapping[int, Line], blocked: Callable[[], Sequence[int]]) -> None:
        self.changes = 0
        self.forgotten = 0
        self._lines = lines
        self._blocked = blocked
        # The newest last.
        self._known: dict[str, Chance] = {}
        self._looking: dict[str, Chance] = {}
        self._standings: dict[str, Standing] = {}

    @property
    def is_looking(self) -> bool:
        """Whether `look` has more to look at."""
        return bool(self._looking)

    @property
    def are_too_many(self) -> bool:
        """Whether it would take longer to hold all of them against lines than to let every line try."""
        return len(self._looking) > _OPENINGS_MAX

    def opened(self, offer: Offer) -> None:
        """A node came, offers something else, or has more to give."""
        self.changes += 1
        before = self._known.pop(offer.node_id, None)
        opening = Opening(offer, self._standings.get(offer.node_id, UNKNOWN))
        if before is not None:
            opening.take_over(before.opening)
        chance = self._known[offer.node_id] = Chance(opening, self.changes)
        self._look_with(chance)
        while len(self._known) > _REMEMBERED_MAX:
            oldest = self._known.pop(next(iter(self._known)))
            self._looking.pop(oldest.node_id, None)
            self.forgotten = max(self.forgotten, oldest.number)

    def left(self, node_id: str) -> None:
        """A node is gone."""
        self._standings.pop(node_id, None)
        self._known.pop(node_id, None)
        self._looking.pop(node_id, None)

    def stand(self, node_id: str, standing: Standing) -> bool:
        """This is known of a connected node from now on: whether that is better than what was."""
        before = self._standings.get(node_id, UNKNOWN)
        self._standings[node_id] = standing
        return has_risen(before, standing)

    def forget_all(self) -> None:
        """So much has changed that every line may try."""
        self.changes += 1
        self.forgotten = self.changes
        self._known.clear()
        self._looking.clear()

    def is_current(self, chance: Chance) -> bool:
        """Whether its node is there, and has not changed since."""
        return self._known.get(chance.node_id) is chance

    def look(self) -> list[tuple[Key, Line, Chance]]:
        """Tasks that may have their turn now, one by each opening at most; not more than a few milliseconds of it."""
        found: list[tuple[Key, Line, Chance]] = []
        looks = 0
        for node_id, chance in list(self._looking.items()):
            if chance.lines is None:
                chance.lines = list(self._blocked())
            while not chance.is_offered and chance.at < len(chance.lines):
                if looks == _LOOKS_MAX:
                    return found
                looks += 1
                line = self._lines.get(chance.lines[chance.at])
                key = line.head() if line is not None and line.is_blocked else None
                opening = chance.opening
                if line is None or key is None or not line.may_use(opening, opening.could_serve):
                    chance.at += 1
                elif opening.serves(line.demand):
                    chance.is_offered = True
                    found.append((key, line, chance))
                elif opening.is_claimed:
                    # What claims the rest may not take it; then it is this line's.
                    break
                else:
                    chance.at += 1
            del self._looking[node_id]
        return found

    def used(self, chance: Chance) -> None:
        """The task that was named last has its turn, or its place no longer."""
        chance.is_offered = False
        self._look_with(chance)

    def again(self) -> None:
        """Every task has another place than when it was named."""
        for chance in self._known.values():
            if chance.is_offered:
                self.used(chance)

    def taken(self, node_id: str, task_id: str) -> None:
        """A task has taken what it claimed of a node."""
        chance = self._known.get(node_id)
        if chance is not None:
            chance.opening.taken(task_id)
            self._look_with(chance)

    def given_back(self, node_id: str, task_id: str, *, number: int, failed: Line | None) -> None:
        """A task has not taken what it claimed of a node.

        Args:
            number: of the change by which it had its turn.
            failed: its line, for which the opening was nothing.
        """
        chance = self._known.get(node_id)
        if chance is None:
            return
        chance.opening.give_back(task_id)
        lines = chance.lines or []
        is_next = (
            failed is not None and chance.at < len(lines) and lines[chance.at] == failed.number
        )
        if chance.number == number and is_next:
            chance.at += 1
        self._look_with(chance)

    def missed(self, line: Line, since: int) -> None:
        """Hold a line against what opened after this change, while its first was being auctioned."""
        for chance in reversed(self._known.values()):
            if chance.number <= since:
                return
            # Those that were not held against any line yet will be.
            if chance.lines is not None and line.may_use(
                chance.opening, chance.opening.could_serve
            ):
                chance.lines.append(line.number)
                self._look_with(chance)

    def _look_with(self, chance: Chance) -> None:
        """Hold an opening against lines, the next time that it is looked."""
        if self.is_current(chance):
            self._looking[chance.node_id] = chance

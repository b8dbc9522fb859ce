"""Who gets a gang's seats, and at which price: the second-score rule where several are sold at once.

The lowest scores win, each node one seat. A winner's owner is paid what the gang would have cost more
without that owner: for its first seat the best score of other owners' losers, for its second the next
one, and so on. So what an owner asks for one node neither sets the price of that node nor of another
of its own. Where no loser is left, a winner is paid its bid, as a lone bidder is.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from .bid import Bid
from .gang import Apart, Gang

T = TypeVar("T")


def seated(bids: Sequence[tuple[T, Bid]], gang: Gang) -> list[T]:
    """Who has a seat; fewer than the gang has where there are not enough.

    Args:
        bids: best first.
    """
    taken: list[T] = []
    owners: set[str] = set()
    for who, bid in bids:
        if len(taken) == gang.size:
            break
        if gang.apart is Apart.NODE or bid.wallet not in owners:
            taken.append(who)
            owners.add(bid.wallet)
    return taken


def displaced(scored: Sequence[tuple[int, Bid]], gang: Gang) -> list[int | None]:
    """For each seat the score that would have had to be taken without the seat's owner, if any.

    Args:
        scored: score and bid, best first.
    """
    winners = seated([(index, bid) for index, (_, bid) in enumerate(scored)], gang)
    owners = {scored[index][1].wallet for index in winners}
    # Score and owner of whoever could have taken a seat, best first.
    losers: list[tuple[int, str]] = []
    for index, (score, bid) in enumerate(scored):
        if index in winners:
            continue
        if gang.apart is Apart.WALLET:
            if bid.wallet in owners:
                continue
            owners.add(bid.wallet)
        losers.append((score, bid.wallet))
    seats_before: Counter[str] = Counter()
    found: list[int | None] = []
    for index in winners:
        owner = scored[index][1].wallet
        others = [score for score, wallet in losers if wallet != owner]
        before = seats_before[owner]
        found.append(others[before] if before < len(others) else None)
        seats_before[owner] += 1
    return found

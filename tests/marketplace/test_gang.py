"""What a member of a gang knows of the others."""

import pytest

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.gang import GANG_MAX, GangMember, GangPlace, address_of

from .keys import person

MEMBERS = tuple(GangMember(person(name).peer_id) for name in ("a", "b", "c"))
PLACE = GangPlace("task_" + "a" * 32, 1, 2, MEMBERS)


def test_a_member_learns_its_rank_and_where_all_meet() -> None:
    assert PLACE.environment(()) == {
        "NEUROGRID_RANK": "2",
        "NEUROGRID_WORLD_SIZE": "3",
        "NEUROGRID_RENDEZVOUS": "10.77.0.1:29500",
        "MASTER_ADDR": "10.77.0.1",
        "MASTER_PORT": "29500",
        "RANK": "2",
        "WORLD_SIZE": "3",
    }
    assert PLACE.hosts() == {
        "rank-0": "10.77.0.1",
        "rank-1": "10.77.0.2",
        "rank-2": "10.77.0.3",
    }


def test_customary_variables_that_the_client_set_stay() -> None:
    names = PLACE.environment(("RANK", "MASTER_PORT", "NEUROGRID_RANK")).keys()
    assert not {"RANK", "MASTER_PORT"} & names
    assert {"NEUROGRID_RANK", "WORLD_SIZE"} <= names


def test_the_last_rank_of_the_largest_gang_has_an_address() -> None:
    assert address_of(GANG_MAX - 1) == "10.77.0.32"


@pytest.mark.parametrize(("rank", "members"), [(3, MEMBERS), (0, (MEMBERS[0], MEMBERS[0]))])
def test_a_rank_is_of_one_node_alone(rank: int, members: tuple[GangMember, ...]) -> None:
    with pytest.raises(InvalidValue):
        GangPlace("task_" + "a" * 32, 1, rank, members)

"""Tries whether this machine can hold a member of a gang: with a link of nobody's."""

from contextlib import ExitStack

import trio

from neurogrid_marketplace.gang import GangMember, GangPlace

from ..container import links as any_links
from ..container.links import Links, listening
from .link import GangLink
from .profile import gang_link

# No key has these ids, so that nobody can be a member of a gang that is only tried.
_NOBODY = ("1" * 46, "2" * 46)
_PLACE = GangPlace("task_" + "0" * 32, 0, 1, tuple(GangMember(peer_id) for peer_id in _NOBODY))


async def obstacle(links: Links, node_id: str) -> str:
    """Why this machine can hold no member of a gang, or "": a link is tried. Takes half a second."""
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:

            async def join(lease_id: str) -> None:
                folder = links.folder_of(lease_id)
                link = GangLink(stack.enter_context(listening(folder)))
                nursery.start_soon(link.run, _nowhere)
                image_id = await links.image_id()
                spec = gang_link(lease_id, node_id, image_id, _PLACE, folder.absolute())
                await links.start(spec, link.until_connected)

            problem = await any_links.obstacle(join, links.remove)
            nursery.cancel_scope.cancel()
    return problem


async def _nowhere(_: list[bytes]) -> None:
    """There is nobody to whom packets could go."""

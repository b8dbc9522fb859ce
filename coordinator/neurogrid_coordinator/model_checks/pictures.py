"""Has pictures of models' servers read by a process of their own (`picture_process`): they are strangers' files, and it takes seconds."""

import asyncio
import os
import sys
from typing import Final

import msgspec

from neurogrid_marketplace.model_pictures import Picture
from neurogrid_marketplace.png_points import Points

# Of one process, by the wall clock: more than its own limits let it work.
_WAIT_S: Final = 120
_read_points = msgspec.json.Decoder(Points | None).decode


class PictureNotRead(Exception):
    """The process died, or took too long: that says nothing of the picture."""


async def seen(picture: Picture) -> Picture:
    """A picture with its points, and without its file; none where it cannot be read.

    Raises:
        PictureNotRead: nobody could say.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"{__package__}.picture_process", str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_WAIT_S):
            said, _ = await process.communicate(picture.file)
    except TimeoutError:
        raise PictureNotRead(f"it took more than {_WAIT_S} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise PictureNotRead(f"the process that reads it ended with {process.returncode}")
    return Picture(b"", _read_points(said))

"""Opens the store of artifacts that coordinator.toml names."""

import asyncio
from pathlib import Path

from ..config import ConfigError
from ..setup import ARTIFACTS_FOLDER
from .artifacts import BlobStore
from .artifacts_config import ArtifactsConfig
from .disk_blobs import DiskBlobs


async def open_blobs(config: ArtifactsConfig, directory: Path) -> BlobStore:
    """The store, ready; one that is away may come back later.

    Raises:
        ConfigError: its credentials can't be read, or what speaks to it isn't installed.
        OSError: the folder can't be made.
    """
    folder = directory / ARTIFACTS_FOLDER
    if config.store == "disk":
        disk = DiskBlobs(folder)
        await asyncio.to_thread(disk.prepare)
        return disk
    try:
        # Only who has such a store needs its client, which takes 0.2 s and 20 MiB.
        from .s3_blobs import S3Blobs
        from .s3_bucket import Bucket
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"[artifacts] store: {error.name} is not installed: pip install 'neurogrid[s3]'"
        ) from error
    blobs = S3Blobs(await asyncio.to_thread(Bucket, config, directory), folder)
    await blobs.prepare()
    return blobs

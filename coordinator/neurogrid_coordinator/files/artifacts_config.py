"""The section ``[artifacts]`` of coordinator.toml: where input and output files are kept."""

from typing import Annotated, Literal

from msgspec import Meta

from neurogrid_marketplace.errors import InvalidValue

from ..config_section import Section, UrlOrEmpty


class ArtifactsConfig(Section, frozen=True):
    """A folder of the coordinator's directory, or a bucket of an S3-compatible store; see the template."""

    store: Literal["disk", "s3"] = "disk"
    endpoint: UrlOrEmpty = ""
    bucket: Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?\Z")] = ""
    region: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}\Z")] = "us-east-1"
    prefix: Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]+/)*\Z", max_length=256)] = ""
    path_style: bool = True
    credentials_file: Annotated[str, Meta(max_length=4096)] = ""

    def check(self) -> None:
        """Raise `ValueError` unless what is asked for can be done."""
        if self.store == "s3" and not self.bucket:
            raise InvalidValue("[artifacts] bucket: the store is s3, so a bucket has to be named")

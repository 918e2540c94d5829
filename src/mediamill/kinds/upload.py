"""Send a file to a bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from mediamill.core.connections import read_place
from mediamill.core.ports import Engines
from mediamill.kinds import Base, Context, Hint, Result
from mediamill.kinds import Options as BaseOptions


class Options(BaseOptions, frozen=True, kw_only=True):
    """Where to."""

    destination: (
        Annotated[
            str,
            Meta(
                max_length=2048,
                description="s3://bucket/key, or s3://bucket/folder/ for the file's own name there. "
                "Needed, unless the task itself has a destination.",
            ),
        ]
        | UnsetType
    ) = UNSET
    connection: (
        Annotated[str, Meta(max_length=64, description="Id of the connection that opens the bucket (the default).")]
        | UnsetType
    ) = UNSET


class Upload(Base[Options]):
    """The sending itself is the worker's, as for every task with a destination: where a task makes nothing, what it
    was given is sent. So nothing is left to do here, no copy is made, and `details.destination` says what was sent."""

    name = "upload"
    summary = "Send a file to an S3 bucket."
    options = Options
    reusable = False
    queue = "io"

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        if not isinstance(options.destination, UnsetType):
            read_place(options.destination, field="destination", folder=True)
        return options

    def destination(self, options: Options) -> Mapping[str, Any]:
        # With none at all the place is refused where it is read, as one that is wrong.
        url, connection = options.destination, options.connection
        return {
            "url": "" if isinstance(url, UnsetType) else url,
            "connection": None if isinstance(connection, UnsetType) else connection,
        }

    def run(self, ctx: Context, options: Options) -> Result:
        return Result(outputs=[])


KIND = Upload()

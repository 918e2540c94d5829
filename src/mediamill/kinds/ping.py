"""Do nothing, by the whole way that a task goes."""

from __future__ import annotations

from mediamill.kinds import Base, Context, Result
from mediamill.kinds import Options as BaseOptions


class Options(BaseOptions, frozen=True, kw_only=True):
    """Nothing to choose."""


class Ping(Base[Options]):
    """For monitoring and measuring: it is queued, started in a child and finished like any other."""

    name = "ping"
    summary = "Do nothing, by the whole way that a task goes."
    options = Options
    reusable = False
    queue = "io"
    inputs = (0, 0)
    light = True

    def run(self, ctx: Context, options: Options) -> Result:
        return Result(outputs=[], details={"pong": True})


KIND = Ping()

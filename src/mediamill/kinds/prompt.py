"""Do what a prompt says: a language model is asked, calls functions of this server, and is asked again until done.

The work is the agent's (`mediamill.agent`), which the worker hosts itself; here is only what can be chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from mediamill.core.errors import Invalid, ToolFailed
from mediamill.core.ports import Engines
from mediamill.kinds import Base, Context, Hint, Result
from mediamill.kinds import Options as BaseOptions


class Options(BaseOptions, frozen=True, kw_only=True):
    """Limits that are not given are the install's."""

    prompt: (
        Annotated[
            str,
            Meta(
                max_length=200_000, description="What to do. May be left out where a schedule or the payload names it."
            ),
        ]
        | None
    ) = None
    model: Annotated[str, Meta(max_length=200, description="The model to ask; the install's when left out.")] | None = (
        None
    )
    payload: Annotated[Any, Meta(description="Data to work with, as JSON.")] = None
    max_steps: Annotated[int, Meta(ge=1, le=1000, description="Most model calls and function calls.")] | None = None
    max_tokens: Annotated[int, Meta(ge=1, description="Most tokens read and written, over all attempts.")] | None = None
    max_cost_cents: Annotated[float, Meta(ge=0, description="Most it may cost, in cents.")] | None = None
    max_duration_s: (
        Annotated[float, Meta(gt=0, le=86_400, description="Longest work in seconds, waiting for tasks not counted.")]
        | None
    ) = None


class Prompt(Base[Options]):
    """See the module."""

    name = "prompt"
    summary = "Have a language model do what a prompt says, with this server's tasks and files."
    options = Options
    queue = "agent"
    inputs = (0, 0)
    reusable = False
    hosted = True

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        if options.prompt is not None and not options.prompt.strip():
            raise Invalid("prompt", "must not be empty.")
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        raise ToolFailed("A prompt is done by the worker itself, not in a child.")


KIND = Prompt()

"""A runner with a fault of its own, by its dotted name."""

from __future__ import annotations

from mediamill.agent.context import Context, Done


async def run(context: Context) -> Done:
    """Fails as code fails that nobody foresaw."""
    raise ZeroDivisionError(context.prompt)

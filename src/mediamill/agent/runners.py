"""Which runners there are: what comes with the install, entry points, dotted names."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol

from mediamill.agent.stack import stack_of
from mediamill.core.errors import RunnerNotConfigured
from mediamill.core.schedules import RUNNER

if TYPE_CHECKING:
    from mediamill.agent.context import Context, Done

GROUP = "mediamill.runners"
"""The group of entry points that others offer runners in."""
OURS = "openai"
SCHEDULED = "customer-prompt-task"
"""What a wire dialect calls the prompts of its schedules."""


class Runner(Protocol):
    """Runs prompts."""

    async def run(self, context: Context) -> Done:
        """Do what the prompt says. Raises a core `Failed` for what goes wrong."""


@cache
def _plugged() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def runners() -> Sequence[str]:
    """The identifiers that prompts can be started under here; one of another name waits until something runs it."""
    return [RUNNER, SCHEDULED, *sorted(_plugged().keys() - {RUNNER, SCHEDULED, OURS})]


def find(identifier: str, chosen: str) -> Runner:
    """What runs prompts of an identifier; `chosen` is the operator's own choice for those without a runner's name.

    Raises RunnerNotConfigured, also for a name that is none here: what was written for one runner is not for another.
    """
    if identifier and identifier not in runners():
        raise RunnerNotConfigured(f"No runner {identifier!r} is installed here; there are {', '.join(runners())}.")
    name = identifier if identifier in _plugged() else chosen
    if name == OURS:
        from mediamill.agent.loop import OpenAI

        return OpenAI()
    if name in _plugged():
        return _runner(name, lambda: _plugged()[name].load())
    if "." in name:
        return _runner(name, lambda: _dotted(name))
    there = ", ".join([OURS, *sorted(_plugged())])
    raise RunnerNotConfigured(f"TASK_RUNNER is {name!r}; there are {there}, and dotted names like package.module.run.")


class _Function:
    """A bare function as a runner."""

    def __init__(self, run: Any) -> None:
        self.run = run


def _dotted(name: str) -> Any:
    module, _, attribute = name.replace(":", ".").rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _runner(name: str, load: Any) -> Runner:
    try:
        found = load()
        if inspect.isclass(found):
            found = found()
    except Exception as error:
        failed = RunnerNotConfigured(f"The runner {name!r} cannot be loaded: {type(error).__name__}.")
        failed.private = stack_of(error)  # what the operator needs, in the log
        raise failed from error
    run = getattr(found, "run", found)
    if not inspect.iscoroutinefunction(run):
        raise RunnerNotConfigured(f"The runner {name!r} has no `async def run(context)`.")
    runner: Runner = _Function(run)
    return runner

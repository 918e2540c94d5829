"""What holds for every task of a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from mediamill.core.files import File
from mediamill.core.tasks import KEPT_S, Task
from mediamill.worker.tool import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Limits and lists that the operator's settings give."""

    limits: Limits
    max_fetch_bytes: int
    retry_first_s: float
    retry_cap_s: float
    light: Set[str] = frozenset()
    """Kinds of which many are done at one go."""
    located: Set[str] = frozenset()
    """Kinds that are told where their inputs were read."""
    address: Callable[[Task, File], str | None] = lambda task, file: None
    """Where a stored file is read, in the words of the task's dialect; None where that has no lasting one."""
    lifetime_s: Mapping[str, float | None] = field(default_factory=dict)
    """By dialect; None: kept until deleted."""

    def kept_s(self, task: Task) -> float | None:
        """How long the results of a task are kept."""
        own, usual = task.extra.get(KEPT_S), self.lifetime_s.get(task.dialect)
        return own if usual is None else usual if own is None else min(own, usual)

    def urls(self, task: Task) -> list[str | None]:
        """Where the task's inputs were read, if its kind is told."""
        if task.kind not in self.located:
            return []
        return [
            source.url or (self.address(task, source.file) if source.file is not None else None)
            for source in task.inputs
        ]

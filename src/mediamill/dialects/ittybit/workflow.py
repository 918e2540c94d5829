"""Workflows: the items a caller writes, as the tasks of a run; the same for runs and for automations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mediamill import kinds
from mediamill.core.automations import Given
from mediamill.core.errors import Invalid
from mediamill.core.runs import MOST_TASKS, NewRun, Node
from mediamill.core.tasks import Source
from mediamill.dialects.ittybit.errors import Fault, invalid
from mediamill.dialects.ittybit.objects import NAME
from mediamill.dialects.ittybit.profile import Profile
from mediamill.dialects.ittybit.reading import Item, new_task, read_item

DEEPEST = 20


def nodes_of(
    items: Any, *, source: Source | None, profile: str, origin: str | None = None, root: str = "tasks"
) -> list[Node]:
    """The tasks of a run. `source`: the run's own input, for items that find no nearer one. Raises a 400 Fault."""
    return _Reader(source, profile, origin).read(items, root)


class _Reader:
    def __init__(self, source: Source | None, profile: str, origin: str | None) -> None:
        self._source = source
        self._profile = profile
        self._origin = origin
        self._nodes: list[Node] = []
        self._bare: set[int] = set()
        """Places of tasks that have no input to hand on."""

    def read(self, items: Any, root: str) -> list[Node]:
        if not isinstance(items, Sequence) or isinstance(items, str) or not items:
            raise invalid(f"{root} must be a list of 1 to {MOST_TASKS} task items.")
        self._level(items, root, None, 1)
        return self._nodes

    def _level(self, items: Any, path: str, parent: int | None, depth: int) -> None:
        if not isinstance(items, Sequence) or isinstance(items, str):
            raise invalid(f"{path} must be a list of task items.")
        if depth > DEEPEST:
            raise invalid(f"{path} is nested deeper than {DEEPEST} levels.")
        read: list[tuple[int, Mapping[str, Any], Item]] = []
        for n, item in enumerate(items):
            if not isinstance(item, Mapping):
                raise invalid(f"{path}[{n}] must be an object.")
            read.append((n, item, read_item(item, f"{path}[{n}].")))
        first = next((entry for entry in read if entry[2].kind == "ingest"), None) if parent is None else None
        if first is not None:  # what waits for it has to stand behind it
            read = [first, *(entry for entry in read if entry is not first)]
        sibling: int | None = None
        for n, raw, item in read:
            place = self._add(item, f"{path}[{n}]", parent, sibling)
            if first is not None and item is first[2]:
                sibling = place
            if raw.get("next") is not None:
                self._level(raw["next"], f"{path}[{n}].next", place, depth + 1)

    def _add(self, item: Item, path: str, parent: int | None, sibling: int | None) -> int:
        place = len(self._nodes)
        if place >= MOST_TASKS:
            raise invalid(f"tasks must be at most {MOST_TASKS} in all.")
        new = new_task(item, profile=self._profile, origin=self._origin)
        after, inherits = parent, False
        if item.source is None:
            if parent is not None and parent not in self._bare:
                inherits = True
            elif sibling is not None:
                after, inherits = sibling, True
            elif self._source is not None:
                new = replace(new, inputs=[self._source])
            elif kinds.named(item.kind).inputs[0] > 0:
                raise Fault(400, "url_required", f"{path}.url is required: the task has no input.")
            else:
                self._bare.add(place)
        self._nodes.append(Node(new=new, parent=parent, after=after, inherits=inherits, ref=item.ref))
        return place


def plan(workflow: Sequence[Mapping[str, Any]], given: Given) -> NewRun:
    """The run that a saved workflow makes of what a start gives. Raises Invalid."""
    try:
        nodes = nodes_of(list(workflow), source=given.source, profile=Profile.CURRENT.value, root="workflow")
    except Fault as error:
        raise Refused(error) from error
    return NewRun(nodes=nodes, dialect=NAME, metadata=given.metadata)


class Refused(Invalid):
    """A workflow that cannot be run, in the dialect's own words."""

    def __init__(self, fault: Fault) -> None:
        super().__init__("", str(fault))
        self.fault = fault

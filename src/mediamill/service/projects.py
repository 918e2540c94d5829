"""What holds for all of a project."""

from __future__ import annotations

from typing import Protocol

from mediamill.core.access import Caller, Role
from mediamill.core.errors import Denied


class Store(Protocol):
    """Where a project's choices are kept."""

    async def used(self, project_id: str) -> bool: ...
    async def use(self, project_id: str, wanted: bool) -> None: ...


class Projects:
    """Verbs on the caller's own project."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def reuses(self, caller: Caller) -> bool:
        """Whether results are used again for tasks that ask the same."""
        return await self._store.used(caller.project_id)

    async def reuse(self, caller: Caller, wanted: bool) -> None:
        """Choose that. Raises Denied for a key that is no administrator's."""
        if caller.role is not Role.ADMIN:
            raise Denied("Only an administrator's key may change the project.")
        await self._store.use(caller.project_id, wanted)

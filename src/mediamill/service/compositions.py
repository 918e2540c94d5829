"""Verbs on compositions: scenes that are kept, edited in batches, and rendered as they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from mediamill.core.access import Caller
from mediamill.core.composition_ops import Edited, edited
from mediamill.core.compositions import brought, filled
from mediamill.core.errors import Conflict
from mediamill.core.kept_scenes import Author, KeptScene
from mediamill.core.tasks import Page

_TRIES = 20


class Store(Protocol):
    """The table of compositions."""

    async def create(self, project_id: str, name: str, request: Mapping[str, Any], author: Author) -> KeptScene: ...
    async def get(self, project_id: str, id: str) -> KeptScene: ...
    async def list(self, project_id: str, page: Page) -> tuple[Sequence[KeptScene], bool]: ...
    async def edit(
        self, project_id: str, id: str, version: int, request: Mapping[str, Any], author: Author
    ) -> KeptScene | None: ...
    async def delete(self, project_id: str, id: str) -> None: ...


class Compositions:
    """See the module."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(
        self, caller: Caller, *, name: str = "", request: Mapping[str, Any] | None = None, author: Author = "user"
    ) -> KeptScene:
        """A new one at version 1, empty where no scene is given. Raises Invalid, Unsupported."""
        return await self._store.create(caller.project_id, name, filled(request or {}), author)

    async def get(self, caller: Caller, id: str) -> KeptScene:
        """One. Raises NotFound."""
        return _today(await self._store.get(caller.project_id, id))

    async def list(self, caller: Caller, page: Page) -> tuple[Sequence[KeptScene], bool]:
        """(a page, newest first; whether more follow)."""
        found, more = await self._store.list(caller.project_id, page)
        return [_today(scene) for scene in found], more

    async def edit(
        self, caller: Caller, id: str, ops: Any, *, if_version: int | None = None, author: Author = "user"
    ) -> tuple[KeptScene, Edited]:
        """Apply a batch of edits, all or none. Raises NotFound, Invalid, Conflict for a version that is not the newest.

        Without `if_version` it is applied to whatever is the newest, however many others edit.
        """
        for _ in range(_TRIES):
            scene = _today(await self._store.get(caller.project_id, id))
            if if_version is not None and scene.version != if_version:
                raise Conflict(f"The project is at version {scene.version}, not {if_version}.")
            made = edited(scene.request, ops)
            done = await self._store.edit(caller.project_id, id, scene.version, made.request, author)
            if done is not None:
                return done, made
        raise Conflict("Others edit this project without a pause; try again.")

    async def delete(self, caller: Caller, id: str) -> None:
        """Let it go. Raises NotFound."""
        await self._store.delete(caller.project_id, id)


def _today(scene: KeptScene) -> KeptScene:
    """The same by the rules of this version."""
    request, dropped = brought(scene.request)
    return replace(scene, request=request, dropped=dropped) if dropped else scene

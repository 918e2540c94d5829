"""Who may call, and the keys they call with."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Protocol

from mediamill.core.access import Caller, Key, Project, Role, new_secret
from mediamill.core.errors import Denied, Invalid, LimitReached, Unauthorized

_REMEMBER_S = 5.0
_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_REMEMBERED = 10_000


class Store(Protocol):
    """The key table."""

    async def who(self, secret: str) -> Caller | None: ...
    async def holder(self, id: str) -> Caller | None: ...
    async def create(self, project_id: str, name: str, role: Role, secret: str | None = None) -> tuple[Key, str]: ...
    async def list(self, project_id: str) -> list[Key]: ...
    async def revoke(self, project_id: str, id: str) -> None: ...
    async def project(self, id: str | None, name: str) -> Project: ...
    async def project_of(self, id: str) -> Project: ...
    async def projects(self) -> Sequence[Project]: ...


class Keys:
    """Verbs on keys. A known key is remembered for five seconds, so a revoked one is out within that time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[float, Caller]] = {}
        self._holders: dict[str, tuple[float, Caller]] = {}
        self._spent: dict[tuple[str, str], tuple[float, float]] = {}

    async def caller(self, secret: str | None) -> Caller:
        """Who a key speaks for. Raises Unauthorized."""
        if not secret:
            raise Unauthorized("A key is needed.")
        now = time.monotonic()
        known = self._known.get(secret)
        if known is not None and known[0] > now:
            return known[1]
        caller = await self._store.who(secret)
        if caller is None:
            self._known.pop(secret, None)
            raise Unauthorized("The key is not known.")
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[secret] = (now + _REMEMBER_S, caller)
        return caller

    async def holder(self, key_id: str) -> Caller:
        """Who a key speaks for, by its id: for sessions, which carry no secret. Raises Unauthorized once revoked."""
        now = time.monotonic()
        known = self._holders.get(key_id)
        if known is not None and known[0] > now:
            return known[1]
        caller = await self._store.holder(key_id)
        if caller is None:
            self._holders.pop(key_id, None)
            raise Unauthorized("The key of this session has been revoked.")
        if len(self._holders) >= _MOST_REMEMBERED:
            self._holders.clear()
        self._holders[key_id] = (now + _REMEMBER_S, caller)
        return caller

    def spend(self, caller: Caller, dialect: str, per_minute: int | None) -> tuple[int, int] | None:
        """Count one call against a key's budget (a bucket that refills evenly). (limit, remaining), or None: no limit.

        Raises LimitReached with the seconds until the next call is free. Counted for each server by itself.
        """
        if per_minute is None:
            return None
        now = time.monotonic()
        left, at = self._spent.get((caller.key_id, dialect), (float(per_minute), now))
        left = min(float(per_minute), left + (now - at) * per_minute / 60)
        if left < 1:
            self._spent[(caller.key_id, dialect)] = (left, now)
            raise LimitReached(f"More than {per_minute} calls a minute.", (1 - left) * 60 / per_minute)
        if len(self._spent) >= _MOST_REMEMBERED:
            self._spent.clear()
        self._spent[(caller.key_id, dialect)] = (left - 1, now)
        return per_minute, int(left - 1)

    async def create(
        self, caller: Caller, *, name: str, role: str, project_id: str | None, prefix: str | None = None
    ) -> tuple[Key, str]:
        """A new key and its secret, shown this once. Administrators only; others' projects are made on first use."""
        self._admin(caller)
        if not 1 <= len(name) <= 200:
            raise Invalid("name", "must be 1 to 200 characters.")
        try:
            wanted = Role(role)
        except ValueError:
            raise Invalid("role", f"must be one of {', '.join(Role)}.") from None
        if project_id is not None and project_id != caller.project_id:
            if not _PROJECT_ID.fullmatch(project_id):
                raise Invalid("project_id", "must be 1 to 64 letters, digits, - and _.")
            await self._store.project(project_id, project_id)
        secret = new_secret(prefix) if prefix is not None else None
        return await self._store.create(project_id or caller.project_id, name, wanted, secret)

    async def list(self, caller: Caller) -> Sequence[Key]:
        """The project's keys. Administrators only."""
        self._admin(caller)
        return await self._store.list(caller.project_id)

    async def revoke(self, caller: Caller, id: str) -> None:
        """End a key. Administrators only; the key that asks cannot end itself. Raises NotFound."""
        self._admin(caller)
        if id == caller.key_id:
            raise Invalid("id", "is the key of this call; use another to revoke it.")
        await self._store.revoke(caller.project_id, id)
        self._known.clear()
        self._holders.clear()

    async def create_own(self, caller: Caller, name: str, prefix: str) -> tuple[Key, str]:
        """A further key of the caller's own project, no administrator's. (key, its secret, shown this once)."""
        return await self._store.create(caller.project_id, name, Role.MEMBER, new_secret(prefix))

    async def list_own(self, caller: Caller) -> Sequence[Key]:
        """The keys of the caller's own project, newest first."""
        return await self._store.list(caller.project_id)

    async def revoke_own(self, caller: Caller, id: str) -> None:
        """End a key of the caller's own project, be it the one that asks. Raises NotFound."""
        await self._store.revoke(caller.project_id, id)
        self.forget()

    def forget(self) -> None:
        """Look every key up anew."""
        self._known.clear()
        self._holders.clear()

    async def project_of(self, caller: Caller) -> Project:
        """The caller's own project."""
        return await self._store.project_of(caller.project_id)

    async def projects(self, caller: Caller) -> Sequence[Project]:
        """Every project. Administrators only."""
        self._admin(caller)
        return await self._store.projects()

    def _admin(self, caller: Caller) -> None:
        if caller.role is not Role.ADMIN:
            raise Denied("Only an administrator's key may do this.")

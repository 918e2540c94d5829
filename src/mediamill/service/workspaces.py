"""Verbs on the caller's own workspace, and signing up for one."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import structlog

from mediamill.core.access import Caller, Project, Role, new_secret
from mediamill.core.errors import Conflict, Denied, Invalid
from mediamill.core.files import File
from mediamill.core.tasks import Page
from mediamill.core.workspaces import CODE_DIGITS, Used

log = structlog.get_logger()
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_MOST_NAME = 255
_TELL_S = 5.0
"""Bytes served are written down together, so often at most."""
Read = Callable[[File, int, int], AsyncIterator[bytes]]


class Store(Protocol):
    """The tables behind a workspace."""

    async def email(self, project_id: str) -> tuple[str | None, bool]: ...
    async def rename(self, project_id: str, name: str) -> Project: ...
    async def close(self, project_id: str) -> Sequence[str]: ...
    async def used(
        self, project_id: str, start: datetime, end: datetime, kinds: Sequence[str], render: str
    ) -> Used: ...
    async def served(self, amounts: Mapping[str, int]) -> None: ...
    async def assets(self, project_id: str, page: Page) -> tuple[Sequence[File], bool]: ...
    async def sign_up(self, name: str, email: str, secret: str, code: str) -> Project: ...
    async def verify(self, email: str, code: str) -> Project | None: ...
    async def inert(self, secret: str) -> bool: ...


class Workspaces:
    """cancel: stops a task of a project. forget: makes every known key be looked up anew. open: whether strangers may
    sign up."""

    def __init__(
        self,
        store: Store,
        *,
        cancel: Callable[[str, str], Awaitable[object]],
        forget: Callable[[], None],
        open: bool,
    ) -> None:
        self._store = store
        self._cancel = cancel
        self._forget = forget
        self._open = open
        self._served: dict[str, int] = {}
        self._telling: asyncio.Task[None] | None = None

    async def email(self, caller: Caller) -> tuple[str | None, bool]:
        """(the owner's address, whether it was verified)."""
        return await self._store.email(caller.project_id)

    async def rename(self, caller: Caller, name: str) -> Project:
        """Another name."""
        return await self._store.rename(caller.project_id, name)

    async def close(self, caller: Caller) -> None:
        """End the workspace: its keys are refused, its tasks stopped, its schedules and automations switched off.

        What it made expires as files do, and after a week where they do not. Its ended tasks go as all do.

        Raises Denied for an administrator's, without which nobody could get in.
        """
        if caller.role is Role.ADMIN:
            raise Denied("An administrator's workspace stays.")
        for task in await self._store.close(caller.project_id):
            try:
                await self._cancel(caller.project_id, task)
            except Conflict:
                continue  # it ended by itself
        self._forget()

    async def usage(self, caller: Caller, start: datetime, end: datetime, kinds: Sequence[str], render: str) -> Used:
        """What was used from `start` until `end`: tasks of some kinds, renders, and bytes that links served."""
        await self._tell()
        return await self._store.used(caller.project_id, start, end, kinds, render)

    def counting(self, read: Read) -> Read:
        """The same bytes of a file, counted for its project: here at first, and seconds later in the database."""

        async def counted(file: File, start: int, end: int) -> AsyncIterator[bytes]:
            try:
                async for chunk in read(file, start, end):
                    self._served[file.project_id] = self._served.get(file.project_id, 0) + len(chunk)
                    yield chunk
            finally:
                if self._telling is None and self._served:
                    self._telling = asyncio.create_task(self._tell_soon())

        return counted

    async def _tell_soon(self) -> None:
        await asyncio.sleep(_TELL_S)
        self._telling = None
        try:
            await self._tell()
        except Exception as error:
            log.warning("bytes served are not written down yet", why=str(error))

    async def _tell(self) -> None:
        amounts, self._served = self._served, {}
        if not amounts:
            return
        try:
            await self._store.served(amounts)
        except BaseException:
            for project, count in amounts.items():  # another time
                self._served[project] = self._served.get(project, 0) + count
            raise

    async def assets(self, caller: Caller, page: Page) -> tuple[Sequence[File], bool]:
        """(films and sounds that are ready, newest first; whether more follow)."""
        return await self._store.assets(caller.project_id, page)

    async def sign_up(self, name: str, email: str, prefix: str) -> tuple[Project, str]:
        """A new workspace and its key, which is inert until the code that is written to the log comes back.

        Raises Invalid, Denied where strangers may not sign up, LimitReached.
        """
        if not self._open:
            raise Denied("This server's operator hands out keys; nobody signs up.")
        if not 1 <= len(name.strip()) <= _MOST_NAME:
            raise Invalid("workspace_name", f"must be 1 to {_MOST_NAME} characters")
        if not _EMAIL.fullmatch(email):
            raise Invalid("email", "must be an e-mail address")
        secret, code = new_secret(prefix), f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        project = await self._store.sign_up(name.strip(), email.lower(), secret, code)
        # No mail is sent from here: whoever runs the server hands the code on.
        log.warning("signup waits for its code", email=email.lower(), code=code, project=project.id)
        return project, secret

    async def verify(self, email: str, code: str) -> Project:
        """Wake the key that was signed up for with this e-mail. Raises Invalid (a wrong or late code), LimitReached."""
        found = await self._store.verify(email.lower(), code)
        if found is None:
            raise Invalid("otp_code", "is wrong, too late, or was tried too often")
        return found

    async def inert(self, secret: str) -> bool:
        """Whether this is a key that waits for its e-mail to be verified."""
        return await self._store.inert(secret)

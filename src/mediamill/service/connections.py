"""Credentials for a project's own buckets: kept sealed, shown without their secret, opened for the work alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import structlog

from mediamill.core.access import Caller
from mediamill.core.connections import (
    KINDS,
    Access,
    Changes,
    Connection,
    NewConnection,
    is_bucket_url,
    read_place,
)
from mediamill.core.errors import ConnectionRequired, Invalid
from mediamill.core.ids import new_id
from mediamill.core.tasks import Page, Source
from mediamill.vault import Unopenable, Vault

log = structlog.get_logger()

_ENDPOINT = re.compile(r"https?://[^/?#\s]+/?", re.IGNORECASE)
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
_MOST_NAME = 200
_MOST_KEY = 1024


class Store(Protocol):
    """The connection table."""

    async def create(self, id: str, project_id: str, new: NewConnection, sealed: bytes, key_id: str) -> Connection: ...
    async def get(self, project_id: str, id: str) -> Connection: ...
    async def default(self, project_id: str) -> Connection | None: ...
    async def sealed(self, project_id: str, id: str) -> tuple[Connection, bytes]: ...
    async def list(self, project_id: str, page: Page) -> tuple[Sequence[Connection], bool]: ...
    async def change(
        self, project_id: str, id: str, changes: Changes, sealed: bytes | None, key_id: str | None
    ) -> Connection: ...
    async def delete(self, project_id: str, id: str) -> None: ...
    async def reseal(self, key_id: str, again: Callable[[str, bytes], bytes | None]) -> int: ...


class Connections:
    """Verbs on connections."""

    def __init__(self, *, store: Store, vault: Vault, check_url: Callable[[str], None]) -> None:
        self._store = store
        self._vault = vault
        self._check_url = check_url

    async def create(self, caller: Caller, new: NewConnection) -> Connection:
        """Keep credentials. Raises Invalid."""
        new = replace(new, endpoint=new.endpoint.rstrip("/"))
        if new.kind not in KINDS:
            raise Invalid("kind", f"must be {' or '.join(KINDS)}.")
        self._check(new.name, new.endpoint, new.region, new.access_key_id, new.secret_access_key)
        id = new_id("connection")
        sealed = self._vault.seal(new.secret_access_key, _about(id))
        return await self._store.create(id, caller.project_id, new, sealed, self._vault.key_id)

    async def get(self, caller: Caller, id: str) -> Connection:
        """One of the project's. Raises NotFound."""
        return await self._store.get(caller.project_id, id)

    async def list(self, caller: Caller, page: Page) -> tuple[Sequence[Connection], bool]:
        """One page, and whether there are more."""
        return await self._store.list(caller.project_id, page)

    async def change(self, caller: Caller, id: str, changes: Changes) -> Connection:
        """Make some of it another; the secret is kept unless one is given. Raises NotFound, Invalid."""
        if changes.endpoint is not None:
            changes = replace(changes, endpoint=changes.endpoint.rstrip("/"))
        self._check(changes.name, changes.endpoint, changes.region, changes.access_key_id, changes.secret_access_key)
        sealed = key_id = None
        if changes.secret_access_key is not None:
            sealed, key_id = self._vault.seal(changes.secret_access_key, _about(id)), self._vault.key_id
        return await self._store.change(caller.project_id, id, changes, sealed, key_id)

    async def delete(self, caller: Caller, id: str) -> None:
        """Forget it and its secret; tasks that still want it will fail. Raises NotFound."""
        await self._store.delete(caller.project_id, id)

    async def chosen(self, caller: Caller, url: str, id: str | None, *, field: str, folder: bool = False) -> str:
        """The id of the connection that opens an s3:// URL. Raises Invalid, ConnectionRequired, NotFound."""
        read_place(url, field=field, folder=folder)
        if id is not None:
            return (await self._store.get(caller.project_id, id)).id
        default = await self._store.default(caller.project_id)
        if default is None:
            raise ConnectionRequired(field)
        return default.id

    async def sources(self, caller: Caller, sources: Sequence[Source], *, first: int = 0) -> Sequence[Source]:
        """The sources with a connection put to each that lies in a bucket. Raises as `chosen`.

        first: the place of the first one in the words of refusals.

        One that is named where none is needed must be there all the same: else it is a slip of the caller's.
        """
        for source in sources:
            if source.connection is not None and source.url is not None and not is_bucket_url(source.url):
                await self._store.get(caller.project_id, source.connection)
        return [
            replace(
                source, connection=await self.chosen(caller, source.url, source.connection, field=f"inputs.{n}.url")
            )
            if source.url is not None and is_bucket_url(source.url)
            else source
            for n, source in enumerate(sources, first)
        ]

    async def destination(self, caller: Caller, asked: Any) -> Mapping[str, str]:
        """{url, connection} of where a result is also to go, with the connection filled in. Raises as `chosen`."""
        url = asked.get("url") if isinstance(asked, Mapping) else None
        id = asked.get("connection") if isinstance(asked, Mapping) else None
        if not isinstance(url, str) or not (id is None or isinstance(id, str)):
            raise Invalid("destination", "must have a url, and may have a connection.")
        return {"url": url, "connection": await self.chosen(caller, url, id, field="destination.url", folder=True)}

    async def access(self, project_id: str, id: str) -> Access:
        """What is needed to speak to its endpoint. Raises NotFound, Unopenable."""
        found, sealed = await self._store.sealed(project_id, id)
        return Access(
            endpoint=found.endpoint,
            region=found.region,
            access_key_id=found.access_key_id,
            secret_access_key=self._vault.open(sealed, _about(found.id)),
        )

    async def reseal(self) -> int:
        """After a change of keys: seal with the new one what an old one had sealed; how many secrets that were."""

        def again(id: str, sealed: bytes) -> bytes | None:
            try:
                return self._vault.seal(self._vault.open(sealed, _about(id)), _about(id))
            except Unopenable as error:
                log.error("secret cannot be opened", connection=id, why=str(error))
                return None

        return await self._store.reseal(self._vault.key_id, again)

    def _check(
        self,
        name: str | None,
        endpoint: str | None,
        region: str | None,
        access_key_id: str | None,
        secret_access_key: str | None,
    ) -> None:
        if name is not None and not 1 <= len(name) <= _MOST_NAME:
            raise Invalid("name", f"must be 1 to {_MOST_NAME} characters.")
        if endpoint is not None:
            if not _ENDPOINT.fullmatch(endpoint):
                raise Invalid("endpoint", "must be like https://s3.eu-central-1.amazonaws.com, without a path.")
            try:
                self._check_url(endpoint)
            except Invalid as error:
                raise Invalid("endpoint", error.reason) from error
        if region is not None and not _REGION.fullmatch(region):
            raise Invalid("region", "must be 1 to 64 letters, digits and -; auto or us-east-1 where there are none.")
        for field, value in ("access_key_id", access_key_id), ("secret_access_key", secret_access_key):
            if value is not None and not (1 <= len(value) <= _MOST_KEY and value.isascii() and value.isprintable()):
                raise Invalid(field, f"must be 1 to {_MOST_KEY} printable ASCII characters.")


def _about(id: str) -> str:
    return f"connection {id}"

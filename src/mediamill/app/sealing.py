"""The secrets that sign webhooks, sealed at rest as those of connections are.

Those of before were kept as they are, 24 bytes each, and stay readable: what is sealed is longer, and marked. They are
opened once by each process that delivers; nothing of it is loaded before the first of them is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import structlog

from mediamill.config import Settings
from mediamill.vault import Unopenable, Vault, is_sealed

log = structlog.get_logger()

_KNOWN = 4096
"""Opened secrets that are remembered."""
Change = Callable[[bytes, str], bytes]
"""(secret, id of its endpoint) to another form of it."""


def sealer(settings: Settings, vault: Vault) -> Change:
    """Seals, unless another machine may have to open it and has no key: a database that is shared, and no key set."""
    if settings.secret_key is None and settings.database_url is not None:
        return lambda secret, _: secret
    return lambda secret, id: vault.seal(secret.hex(), _about(id))


def opener(vault: Vault) -> Change:
    """Opens what is sealed; the rest is as it is. Raises Unopenable."""

    @lru_cache(_KNOWN)
    def opened(secret: bytes, id: str) -> bytes:
        return bytes.fromhex(vault.open(secret, _about(id))) if is_sealed(secret) else secret

    return opened


def again(settings: Settings, vault: Vault) -> Callable[[bytes, str], bytes | None]:
    """Seals with the key of now what was not, or by another; None where no key opens it."""
    seal, open = sealer(settings, vault), opener(vault)

    def resealed(secret: bytes, id: str) -> bytes | None:
        try:
            return seal(open(secret, id), id)
        except Unopenable as error:
            log.error("secret cannot be opened", endpoint=id, why=str(error))
            return None

    return resealed


def _about(id: str) -> str:
    return f"endpoint {id}"

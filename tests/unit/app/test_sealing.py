"""The secrets that sign webhooks: what lies in the database, who can open it, and what was there before."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.support import inprocess
from tests.support.database import Postgres

from mediamill import config
from mediamill.app import sealing
from mediamill.app.common import vault_of
from mediamill.store.endpoints import Endpoints
from mediamill.vault import Unopenable, Vault, is_sealed

NEW = {"url": "https://example.com/hook", "types": ["task.succeeded"]}
AUTHORIZED = {"authorization": f"Bearer {inprocess.KEY}"}


def key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


async def kept(pool: asyncpg.Pool[Any], id: str) -> bytes:
    return bytes(await pool.fetchval("SELECT secret FROM endpoints WHERE id = $1", id))


async def test_a_new_secret_is_sealed_for_its_endpoint_and_is_the_one_that_was_shown(
    postgres: Postgres, tmp_path: Path
) -> None:
    async with inprocess.fresh(postgres, tmp_path) as mill:
        made = (await mill.http.post("/mill/endpoints", json=NEW, headers=AUTHORIZED)).json()
        shown = base64.b64decode(made["secret"].removeprefix("whsec_"))
        sealed = await kept(mill.bench.pool, made["id"])
        opened = sealing.opener(vault_of(config.load(data=tmp_path)))

        assert is_sealed(sealed)
        assert shown not in sealed
        assert opened(sealed, made["id"]) == shown
        with pytest.raises(Unopenable):
            opened(sealed, "another")


async def test_a_secret_of_before_stays_as_it_is_until_a_key_is_set_and_changes_with_it(
    dsn: str, tmp_path: Path
) -> None:
    plain, first, second = b"\1" + secrets.token_bytes(23), key(), key()
    assert sealing.opener(Vault(None, tmp_path))(plain, "e") == plain

    async with inprocess.running(dsn, tmp_path) as mill:
        made = (await mill.http.post("/mill/endpoints", json=NEW, headers=AUTHORIZED)).json()["id"]
        await mill.bench.pool.execute("UPDATE endpoints SET secret = $1, old_secret = $1", plain)
    for keys in (first, f"{second},{first}"):
        async with inprocess.running(dsn, tmp_path, secret_key=keys) as mill:
            sealed = await kept(mill.bench.pool, made)
            vault = Vault(keys, tmp_path)
            assert sealed.startswith(vault.mark())
            assert sealing.opener(vault)(sealed, made) == plain
            assert await Endpoints(mill.bench.pool).reseal(vault.mark(), lambda *_: None) == 0


def test_nothing_is_sealed_where_another_machine_has_no_key_to_open_it(tmp_path: Path) -> None:
    shared = config.load(data=tmp_path, database_url="postgresql://db/mill")
    assert sealing.sealer(shared, vault_of(shared))(b"secret", "e") == b"secret"
    assert not list(tmp_path.iterdir())

"""What many tests share: a real server for the whole session, and a database that starts fresh for each test."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Generator, Iterator

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from tests.support import database
from tests.support import models as kept
from tests.support.database import Postgres
from tests.support.server import Server, serving

from mediamill import models

LONGEST = (
    "test_fuzz.py", "test_schedules.py", "test_progress.py", "test_docs.py", "test_agent.py", "test_speech.py",
    "test_dashboard.py", "test_durability.py", "test_convert_video.py", "test_convert_audio.py", "test_framelane.py",
    "test_dashboard_runs.py", "test_adaptive_video.py", "test_statuses.py", "test_webhooks.py", "test_cli.py",
    "test_mill.py", "test_examples.py", "test_audio_kind.py", "test_players.py", "test_preview.py",
    "test_adaptive_spans.py", "test_bad_input.py", "test_assemblyai.py", "test_runs.py", "test_look_promises.py",
    "test_cli_kinds.py", "test_mill_http.py", "test_compose_moments.py", "test_framelane_hooks.py", "test_once.py",
    "test_prompts_cli.py", "test_early.py", "test_cron.py", "test_compose_sync.py", "test_scenes.py", "test_vision.py",
    "test_studio.py",
)  # fmt: skip
"""Files that take longest, which go first: a worker that meets one last would keep the others waiting."""


# How long an example takes, and how quickly one is thought of, hangs on the machine.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


os.environ[models.SETTING] = str(kept.NONE)
os.environ.pop(models.FURTHER, None)


# A machine that stands still for five seconds is no server that does not answer.
for _phase in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, _phase, 60.0)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects no garbage while ten thousand tests are made, and looks at none of them again later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """`mediamill serve` with its worker: started once, shared by every test that asks. Leave its settings alone."""
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """An embedded PostgreSQL for the whole session."""
    with database.running() as running:
        asyncio.run(database.migrate(running))
        yield running


@pytest_asyncio.fixture
async def dsn(postgres: Postgres) -> AsyncIterator[str]:
    """A database of the test's own, with the whole schema."""
    async with database.copy(postgres) as fresh:
        yield fresh

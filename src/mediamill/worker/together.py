"""Small jobs without inputs: those that wait at the same moment are done by one child at one go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import structlog

from mediamill.core.errors import Failed
from mediamill.worker.children import Children
from mediamill.worker.messages import Job
from mediamill.worker.slot import Done
from mediamill.worker.tool import Limits

log = structlog.get_logger()

_LOT_S = 1.0
"""For jobs that are done at one go; one that holds the others up so long is found out by doing each alone."""

Light = tuple[str, Job]
"""A small job and its owner."""
Coalesce = Callable[
    [Callable[[Sequence[Light]], Awaitable[Sequence[Done | Failed | None]]]],
    Callable[[Light], Awaitable[Done | None]],
]
"""Makes of a call for many a call for one, which goes together with those that wait at the same time."""


class Together:
    """Does small jobs, each queue's on its own children."""

    def __init__(self, children: Mapping[str, Children], coalesce: Coalesce, limits: Limits) -> None:
        self._limits = replace(limits, wall_s=_LOT_S)
        self._by_queue = {queue: coalesce(partial(self._all, pool)) for queue, pool in children.items()}

    async def __call__(self, queue: str, owner: str, job: Job) -> Done | None:
        """What the job gave; None when it is to be done alone. Raises the core Failed that it ended with."""
        return await self._by_queue[queue]((owner, job))

    async def _all(self, pool: Children, lot: Sequence[Light]) -> list[Done | Failed | None]:
        answers: list[Done | Failed | None] = [None] * len(lot)
        owned: dict[str, list[int]] = {}
        for place, (owner, _) in enumerate(lot):
            owned.setdefault(owner, []).append(place)
        for owner, places in owned.items():
            async with pool.slot(owner=owner) as slot:
                try:
                    found = await slot.run_all([lot[place][1] for place in places], self._limits)
                except Failed as error:
                    log.info("not done together", jobs=len(places), why=str(error))
                    continue
            for place, answer in zip(places, found, strict=True):
                answers[place] = answer
        return answers

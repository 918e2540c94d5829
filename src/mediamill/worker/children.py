"""The worker's side of its children: a pool of slots, each with a folder and a warm, confined child."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from mediamill import sandbox
from mediamill.core.errors import Misconfigured
from mediamill.worker import _tree
from mediamill.worker._nurse import Nurse
from mediamill.worker.messages import Job, Setup
from mediamill.worker.slot import WATCH_EVERY_S, Done, OutputFile, Slot
from mediamill.worker.tool import Limits

log = structlog.get_logger()

__all__ = ["Children", "Done", "Job", "Limits", "OutputFile", "Slot"]

IDLE_S = 10.0
"""How long a child that a heavy job has left large may wait for another one."""
LARGE_BYTES = 64 << 20
"""Resident, shared parts counted: new ones have 30 MB, those that have done pictures 50, documents 100."""


class Children:
    """A pool of slots. Give it a folder of its own; nothing else may live there.

    readable: folders that children may read besides the system and the interpreter (models, fonts).
    listable: folders whose entries' names, at any depth, they may see.
    programs: folders of programs that they may start besides the system's.
    preload: modules imported before children are forked, if they are there; none may start a thread.
    idle_s: how long a child above `large_bytes` is kept for the next task.
    beside: a pool whose fork server starts these children too; what that one was told holds for both.
    """

    def __init__(
        self,
        *,
        slots: int,
        folder: Path,
        engines: str = "mediamill.engines:open",
        kinds: str = "mediamill.kinds:named",
        recycle_after_tasks: int = 200,
        recycle_above_bytes: int = 400 << 20,
        warm: int | None = None,
        require_sandbox: bool = False,
        preload: Sequence[str] = (),
        readable: Sequence[Path] = (),
        listable: Sequence[Path] = (),
        programs: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        beside: Children | None = None,
        idle_s: float = IDLE_S,
        large_bytes: int = LARGE_BYTES,
    ) -> None:
        self._folder = folder.resolve()
        self._recycle = (recycle_after_tasks, recycle_above_bytes)
        self._warm = slots if warm is None else warm
        self._idle_s, self._large_bytes = idle_s, large_bytes
        self._require_sandbox = require_sandbox
        setup = Setup(
            engines=engines,
            kinds=kinds,
            preload=list(preload),
            readable=[str(path.resolve()) for path in readable],
            listable=[str(path.resolve()) for path in listable],
            programs=[str(path.resolve()) for path in programs],
        )
        self._nurse: Nurse = beside._nurse if beside else Nurse(setup, environment or {})
        self._nurse.pools += 1
        self._slots = [Slot(n, self._folder / f"slot-{n}", self._nurse) for n in range(slots)]
        self._free: list[Slot] = []
        self._places = asyncio.Semaphore(slots)
        self._watchers: list[asyncio.Task[None]] = []

    @property
    def sandboxed(self) -> bool:
        """Whether children are confined to their slot's files."""
        return sandbox.abi() > 0

    @property
    def warning(self) -> str | None:
        """What an operator should be told loudly, once; None when all is well."""
        if self.sandboxed:
            return None
        return (
            "This kernel has no Landlock (Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK): a hostile file that "
            "takes over a converter can read whatever this user can read. Do not process strangers' files here."
        )

    async def start(self) -> None:
        """Make the folders and start the first children. Raises Misconfigured when that cannot work here."""
        if self._require_sandbox and self.warning is not None:
            raise Misconfigured("require_sandbox", self.warning)
        await asyncio.to_thread(self._make_folders)
        await self._nurse.open()
        await asyncio.gather(*(slot.warm() for slot in self._slots[: self._warm]))
        self._free = self._slots[::-1]
        self._watchers = [asyncio.create_task(self._watch()), asyncio.create_task(self._let_go())]

    async def close(self) -> None:
        """End every child and remove the folders."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await asyncio.gather(*(slot.close() for slot in self._slots))
        self._nurse.pools -= 1
        if not self._nurse.pools:
            await self._nurse.close()

    @asynccontextmanager
    async def slot(self, owner: str = "", kind: str = "") -> AsyncIterator[Slot]:
        """A free slot, its folders empty; waits for one. kind: what for, where one that has done it is the quicker.

        owner: whose files will be read. No child ever serves two owners, so what one's hostile file did to it cannot
        reach another's; going from one to the next costs a new child, some 10 ms.
        """
        async with self._places:
            slot = self._choose(owner, kind)
            try:
                if not slot.tidied:  # the disk said no last time
                    await slot.tidy(*self._recycle)
                await slot.take(owner)
                yield slot
            finally:
                if slot.tidied and slot.rest(*self._recycle):
                    self._put_back(slot)
                else:
                    # Shielded: a caller that is being cancelled must not leave files behind for the next task.
                    await asyncio.shield(self._give_back(slot))

    def _choose(self, owner: str, kind: str) -> Slot:
        """One that served this owner last, and has done the like; else one that served none, else the one unused for
        longest."""
        for wanted in (owner, ""):
            if own := [slot for slot in reversed(self._free) if slot.owner == wanted]:
                slot = next((slot for slot in own if kind in slot.kinds), own[0])
                self._free.remove(slot)
                return slot
        return self._free.pop(0)

    async def _give_back(self, slot: Slot) -> None:
        try:
            await slot.tidy(*self._recycle)
        finally:
            self._put_back(slot)

    def _put_back(self, slot: Slot) -> None:
        slot.idle_since_s = time.monotonic()
        self._free.append(slot)

    async def _let_go(self) -> None:
        """Replace large children that nobody has wanted for a while."""
        while True:
            await asyncio.sleep(min(1.0, self._idle_s))
            since_s = time.monotonic() - self._idle_s
            for slot in [slot for slot in self._free if 0.0 < slot.idle_since_s < since_s]:
                if self._places.locked() or slot not in self._free:
                    continue  # wanted after all
                slot.idle_since_s = 0.0  # judged once
                if not slot.is_large(self._large_bytes):
                    continue
                async with self._places:  # at once: nobody holds or awaits the last one
                    self._free.remove(slot)
                    try:
                        await slot.renew(warm=slot.number < self._warm)
                    except (OSError, Misconfigured) as error:
                        log.warning("no new child", why=str(error))  # the next task starts one, or is told
                    finally:
                        self._free.insert(0, slot)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            now_s = time.monotonic()
            busy = [(slot, *found) for slot in self._slots if (found := slot.watched(now_s)) is not None]
            if not busy:
                continue
            used = await asyncio.to_thread(_tree.measure, [(child.pid, slot.work) for slot, child, _ in busy])
            for (slot, child, limits), one in zip(busy, used, strict=True):
                slot.judge(child, limits, one)

    def _make_folders(self) -> None:
        for slot in self._slots:
            _tree.remove(slot.folder, by_force=True)  # a worker that was killed could not
            _tree.make(slot.folder)

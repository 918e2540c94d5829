"""A worker of prompts that is killed by signal 9 at chosen points of a run, and started again.

Its arguments are the run's id and a list of points, each [step, when]: "begun" once the step is written as begun,
"undone" when its effect is there and its end is not written, "done" once its end is written. Each life is a process
forked off this one, which has imported everything. After the last point a life goes on until this process is ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from mediamill import kinds
from mediamill.agent import chat, host, loop
from mediamill.app import common, prompts, worker
from mediamill.service import files, tasks
from mediamill.store import steps

_IMPORTED = (host, loop, prompts, files, tasks)


def _live(run: str, point: tuple[int, str] | None) -> None:
    if point is not None:
        _die_at(run, *point)
    worker.work(queues=["agent"])


def _die_at(run: str, number: int, when: str) -> None:
    begin, end = steps.Steps.begin, steps.Steps.end

    async def dying_begin(self: Any, task_id: str, fence: Any, step: Any) -> Any:
        held = await begin(self, task_id, fence, step)
        if (task_id, step.number, when) == (run, number, "begun"):
            os.kill(os.getpid(), signal.SIGKILL)
        return held

    async def dying_end(self: Any, task_id: str, fence: Any, step: Any) -> Any:
        here = (task_id, step.number) == (run, number)
        if here and when == "undone":
            os.kill(os.getpid(), signal.SIGKILL)
        held = await end(self, task_id, fence, step)
        if here and when == "done":
            os.kill(os.getpid(), signal.SIGKILL)
        return held

    steps.Steps.begin, steps.Steps.end = dying_begin, dying_end  # type: ignore[method-assign]


def main(run: str, points: list[tuple[int, str]]) -> None:
    """One life after the other."""
    chat._library()
    kinds.load()
    common.installed()
    for point in [*points, None]:
        life = os.fork()
        if life == 0:
            try:
                _live(run, point)
            finally:
                os._exit(0)
        signal.signal(signal.SIGTERM, lambda *_, life=life: os.kill(life, signal.SIGTERM))
        _, status = os.waitpid(life, 0)
        print(json.dumps({"point": point, "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], [(number, when) for number, when in json.loads(sys.argv[2])])

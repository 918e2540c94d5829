"""Every call of a published Ittybit client, run as a program of its own under the version it is given by PYTHONPATH.

`python ittybit_calls.py BASE_URL KEY SOURCE_URL sync|async` prints what each call gave, as JSON. No part of the tests'
own packages is imported: two versions of the client cannot be in one process.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
import time
from typing import Any

ENDED = ("completed", "succeeded", "failed", "cancelled")


async def scenario(client: Any, api_error: type[Exception], source: str) -> dict[str, Any]:
    """All calls in a sensible order."""
    said: dict[str, Any] = {}

    async def do(name: str, found: Any) -> Any:
        found = await found if inspect.isawaitable(found) else found
        said[name] = plain(found)
        return getattr(found, "data", found) if type(found).__name__.endswith("Response") else found

    async def refused(name: str, found: Any) -> None:
        try:
            await found if inspect.isawaitable(found) else found
        except api_error as error:
            said[name] = {"status": error.status_code, "body": error.body}  # type: ignore[attr-defined]

    def calling(make: Any) -> Any:
        """A call whose refusal is looked at: the synchronous client raises while it is made."""

        async def later() -> Any:
            found = make()
            return await found if inspect.isawaitable(found) else found

        return later()

    media = await do("media.create", client.media.create(title="Cats", alt="Two cats", metadata={"a": 1}))
    await do("media.list", client.media.list(page=1, limit=5))
    await do("media.update", client.media.update(media.id, title="Dogs"))
    file = await do(
        "files.create",
        client.files.create(url=source, media_id=media.id, folder="pets", filename="cat.png", metadata={"b": 2}),
    )
    await do("files.get", client.files.get(file.id))
    await do("files.update", client.files.update(file.id, ref="cat", metadata={"b": 3}))
    await do("files.list", client.files.list(limit=5))
    await do("media.get", client.media.get(media.id))
    task = await do(
        "tasks.create",
        client.tasks.create(
            request={"file_id": file.id, "kind": "image", "width": 32, "format": "png", "ref": "thumbnail"}
        ),
    )
    deadline = time.monotonic() + 60
    while True:
        task = await do("tasks.get", client.tasks.get(task.id))
        if task.status in ENDED or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
    await do("tasks.list", client.tasks.list(page=1, limit=2))
    if hasattr(client.tasks, "get_task_config"):
        await do("tasks.get_task_config", client.tasks.get_task_config())
    await do("signatures.create", client.signatures.create(filename="cat.png", folder="pets", method="get"))
    automation = await do(
        "automations.create",
        client.automations.create(
            name="A",
            description="B",
            trigger={"kind": "event", "event": "media.created"},
            workflow=[
                {"kind": "description"},
                {"kind": "image", "ref": "thumbnail"},
                {"kind": "video", "next": [{"kind": "subtitles", "ref": "subtitles"}]},
            ],
            status="paused",
        ),
    )
    await do("automations.get", client.automations.get(automation.id))
    await do("automations.list", client.automations.list(limit=3))
    await do("automations.update", client.automations.update(automation.id, name="C"))
    await do("automations.delete", client.automations.delete(automation.id))
    await do("files.delete", client.files.delete(file.id))
    await do("media.delete", client.media.delete(media.id))
    await refused("media.get refused", calling(lambda: client.media.get(media.id)))
    await refused("tasks.create refused", calling(client.tasks.create))
    await refused("files.create refused", calling(lambda: client.files.create(url=source + "/nothing")))
    return said


def plain(found: Any) -> Any:
    """What a model holds, as JSON; its datetimes are ISO text, so that what was not parsed is seen as such."""
    if isinstance(found, list):
        return [plain(one) for one in found]
    if hasattr(found, "model_dump"):
        shown = json.loads(found.model_dump_json(by_alias=True))
        return {**shown, "parsed": {name: type(value).__name__ for name, value in dict(found).items()}}
    return found


def main() -> None:
    """Run it, and print what came."""
    base, key, source, mode = sys.argv[1:]
    ittybit = importlib.import_module("ittybit")
    error = importlib.import_module("ittybit.core.api_error").ApiError
    made = ittybit.Ittybit if mode == "sync" else ittybit.AsyncIttybit
    print(json.dumps(asyncio.run(scenario(made(base_url=base, api_key=key), error, source))))


if __name__ == "__main__":
    main()

"""What a step of a run costs beside the model: a run of function calls against a bare client's loop, in one run.

Both ask the same server, which answers at once, with the same conversation. The bare loop keeps nothing and calls
nothing; the run writes each step before it takes effect and again when it is over, on a disk that syncs.
"""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Sequence
from typing import Any

import openai
from tests.support.llm import Says, answering_aside, turns
from tests.support.server import serving

CALLS = 60
ROUNDS = 5


def script(messages: Sequence[Any]) -> Says:
    """Calls one function after the other."""
    return Says(text="Done.") if turns(messages) >= CALLS else Says(calls=[("list_files", {"limit": 1})])


async def bare(url: str, tools: list[Any]) -> float:
    """Milliseconds of one conversation."""
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    messages: list[Any] = [{"role": "system", "content": "x" * 600}, {"role": "user", "content": "Go."}]
    began = asyncio.get_running_loop().time()
    while True:
        text, calls = "", dict[int, list[str]]()
        stream = await client.chat.completions.create(model="m", messages=messages, tools=tools, stream=True)
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for piece in choice.delta.tool_calls or ():
                    call = calls.setdefault(piece.index, ["", "", ""])
                    call[0] = piece.id or call[0]
                    if piece.function is not None:
                        call[1] += piece.function.name or ""
                        call[2] += piece.function.arguments or ""
        if not calls:
            break
        said = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": written}}
            for id, name, written in calls.values()
        ]
        messages.append({"role": "assistant", "content": text or None, "tool_calls": said})
        messages += [{"role": "tool", "tool_call_id": id, "content": "[]"} for id, _, _ in calls.values()]
    took_ms = (asyncio.get_running_loop().time() - began) * 1000
    await client.close()
    return took_ms


def main() -> None:
    """Prints one object."""
    with answering_aside(script) as llm:
        environment = {"LLM_BASE_URL": llm.url, "LLM_MODEL": "m", "RUN_MAX_STEPS": "1000"}
        with serving(environment=environment) as server, server.client() as http:

            def run() -> float:
                asked = {"kind": "prompt", "options": {"prompt": "Go."}}
                task = http.post("/mill/tasks?wait=60", json=asked).raise_for_status().json()
                assert task["state"] == "succeeded", task
                return float(task["details"]["duration_ms"])

            first = run()
            tools = llm.asked[0]["tools"]
            pairs = [(asyncio.run(bare(llm.url, tools)), run()) for _ in range(ROUNDS)]
    steps = 2 * CALLS + 1
    found = {
        "steps": steps,
        "bare_ms": round(statistics.median(a for a, _ in pairs), 1),
        "run_ms": round(statistics.median(b for _, b in pairs), 1),
        "overhead_ms_per_step": round(statistics.median((b - a) / steps for a, b in pairs), 2),
        "ratio": round(statistics.median(b / a for a, b in pairs), 2),
        "first_run_of_a_worker_ms": round(first, 1),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()

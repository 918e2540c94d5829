"""Steps so that none is done twice: each is written before it takes effect and when it is over.

A runner that is started anew goes through the same steps in the same order; those that are over answer from the record,
and the first that is not is where the work goes on. A model call that was lost is asked again: it has no effect. A
function call that was lost is called again, and what it does is keyed by task and number of the step.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import structlog

from mediamill.agent.clock import Clock
from mediamill.agent.prices import Prices
from mediamill.core.errors import Cancelled, CostLimit, Failed, StepLimit, SystemFailure, TokenLimit, WorkerLost
from mediamill.core.steps import Begin, End, Hold, Step, Webhook
from mediamill.core.tasks import Task

log = structlog.get_logger()

_LINES, _LINE = 20, 200
"""Log lines that are kept with a run, and letters of each."""


class Store(Protocol):
    """The table of steps."""

    async def begin(self, task_id: str, fence: uuid.UUID, step: Begin) -> Hold: ...
    async def end(self, task_id: str, fence: uuid.UUID, step: End) -> Hold: ...
    async def note(
        self, task_id: str, fence: uuid.UUID, *, details: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> Hold: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may take, over all attempts. None: any."""

    steps: int
    duration_s: float
    tokens: int | None = None
    cost_cents: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said. calls: (id, function, arguments as it wrote them)."""

    text: str
    calls: Sequence[tuple[str, str, str]]
    finish_reason: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    counted: bool = True
    """False: the endpoint told no numbers, and these are worked out from the letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a function call: the words for the model, and what is to be posted when it is written down."""

    ok: bool
    result: Any
    webhook: Webhook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """A function call about to take effect. again: it was begun before, and nobody knows how far it came."""

    task: Task
    number: int
    again: bool
    clock: Clock


class Journal:
    """The steps of one run in one attempt."""

    def __init__(
        self,
        *,
        task: Task,
        fence: uuid.UUID,
        store: Store,
        steps: Sequence[Step],
        clock: Clock,
        limits: Limits,
        prices: Prices,
        speak: Callable[[int, str], None],
        named: str,
    ) -> None:
        """steps: those of earlier attempts. speak: told (step, letters) of an answer while it comes. named: what the
        run's metadata calls its task."""
        self._task = task
        self._fence = fence
        self._store = store
        self._known = {step.number: step for step in steps}
        self._clock = clock
        self._limits = limits
        self._prices = prices
        self._speak = speak
        self._number = 0
        self._said = {"taskId": named}
        before = task.metadata or {}
        self._lines = [str(line) for line in before.get("logs") or () if isinstance(line, str)][-_LINES:]
        self._model: str | None = None
        spent = [step for step in steps if step.state != "begun"]
        self._in = sum(step.prompt_tokens for step in spent)
        self._out = sum(step.completion_tokens for step in spent)
        self._cost = sum(step.cost_cents for step in spent)

    @property
    def number(self) -> int:
        """Of the newest step."""
        return self._number

    @property
    def usage(self) -> Mapping[str, int]:
        """Tokens over all attempts."""
        return {
            "prompt_tokens": self._in,
            "completion_tokens": self._out,
            "total_tokens": self._in + self._out,
        }

    @property
    def cost(self) -> float:
        """Cents over all attempts."""
        return round(self._cost, 6)

    @property
    def tokens_left(self) -> int | None:
        """How many more a run may read and write; None: any number."""
        return None if self._limits.tokens is None else self._limits.tokens - self._in - self._out

    def note(self, line: str) -> None:
        """A line for whoever follows the run; it is kept with the next step."""
        line = "".join(letter if letter.isprintable() else " " for letter in line)[:_LINE]
        self._lines = [*self._lines, line][-_LINES:]

    def opening(self, make: Callable[[], Any]) -> Any:
        """What the first step was asked: as it is on record, or as it is made now."""
        first = self._known.get(1)
        found = first.request.get("messages") if first is not None else None
        return found if isinstance(found, list) else make()

    async def model(
        self, name: str, request: Mapping[str, Any], ask: Callable[[Callable[[str], None]], Awaitable[Answer]]
    ) -> Answer:
        """Ask a model; `ask` is told whom to hand letters to as they come."""
        number, known = self._next("model", name)
        if known is not None and known.state == "done":
            self._model = known.result["model"]
            return _answer(known)
        self._check(next_is_model=True)
        await self._begin(number, "model", name, request, f"model {number}")
        try:
            answer = await ask(lambda text: self._speak(number, text))
        except Failed as error:
            self.note(f"{number}. {name}: {error}")
            await self._end(number, "failed", {"error": {"name": error.name, "message": str(error)}})
            raise
        cost = self._prices.of(name).of(answer.prompt_tokens, answer.completion_tokens)
        self._in += answer.prompt_tokens
        self._out += answer.completion_tokens
        self._cost += cost
        self._model = answer.model
        self.note(f"{number}. {answer.model}: {_summary(answer)}")
        await self._end(
            number,
            "done",
            {
                "role": "assistant",
                "content": answer.text,
                "calls": [list(call) for call in answer.calls],
                "finish_reason": answer.finish_reason,
                "model": answer.model,
                **({} if answer.counted else {"counted": False}),
            },
            tokens=(answer.prompt_tokens, answer.completion_tokens),
            cost_cents=cost,
        )
        return answer

    async def call(self, id: str, name: str, arguments: Any, do: Callable[[Doing], Awaitable[Told]]) -> Told:
        """Call a function of this server."""
        number, known = self._next("call", name)
        if known is not None and known.state != "begun":
            return Told(ok=known.state == "done", result=known.result)
        self._check(next_is_model=False)
        request = {"id": id, "arguments": arguments}
        await self._begin(number, "call", name, request, name)
        told = await do(Doing(task=self._task, number=number, again=known is not None, clock=self._clock))
        self.note(f"{number}. {name}: {'done' if told.ok else 'refused'}{_about(told.result)}")
        await self._end(number, "done" if told.ok else "failed", told.result, webhook=told.webhook)
        return told

    async def close(self, step: str, **details: Any) -> Mapping[str, Any]:
        """Write what the attempt came to, as far as the fence still holds; the details."""
        found = {**self._details(), **details}
        hold = await self._store.note(
            self._task.id, self._fence, details=found, metadata={**self._metadata(), "currentStep": step}
        )
        if hold is not Hold.HELD:
            log.warning("fenced off", task=self._task.id, attempt=self._task.attempt)
        return found

    def _next(self, kind: Literal["model", "call"], name: str) -> tuple[int, Step | None]:
        self._number += 1
        known = self._known.get(self._number)
        # The operator may have changed the model meanwhile; what the earlier one said still holds.
        if known is not None and (known.kind != kind or (kind == "call" and known.name != name)):
            raise SystemFailure(
                f"Step {self._number} of this run is on record as {known.kind} {known.name}, not {kind} {name}."
            )
        return self._number, known

    def _check(self, *, next_is_model: bool) -> None:
        limits = self._limits
        if self._number > limits.steps:
            raise StepLimit(f"The run may take {limits.steps} steps, and was not done by then.")
        if next_is_model and limits.tokens is not None and self._in + self._out >= limits.tokens:
            raise TokenLimit(f"The run may use {limits.tokens} tokens, and was not done by then.")
        # With a limit of nothing: what is free may go on, and what is not ends after the answer that showed it.
        if next_is_model and limits.cost_cents is not None and self._cost and self._cost >= limits.cost_cents:
            raise CostLimit(f"The run may cost {limits.cost_cents:g} cents, and was not done by then.")

    async def _begin(
        self, number: int, kind: Literal["model", "call"], name: str, request: Mapping[str, Any], stage: str
    ) -> None:
        self._clock.at(stage if kind == "call" else "model", min(0.99, number / (self._limits.steps + 1)))
        self._said["currentStep"] = stage
        hold = await self._store.begin(
            self._task.id,
            self._fence,
            Begin(number=number, kind=kind, name=name, request=request, metadata=self._metadata()),
        )
        _held(hold)

    async def _end(
        self,
        number: int,
        state: Literal["done", "failed"],
        result: Any,
        *,
        tokens: tuple[int, int] = (0, 0),
        cost_cents: float = 0.0,
        webhook: Webhook | None = None,
    ) -> None:
        hold = await self._store.end(
            self._task.id,
            self._fence,
            End(
                number=number,
                state=state,
                result=result,
                prompt_tokens=tokens[0],
                completion_tokens=tokens[1],
                cost_cents=cost_cents,
                details=self._details(),
                metadata=self._metadata(),
                webhook=webhook,
            ),
        )
        _held(hold)

    def _details(self) -> dict[str, Any]:
        found = {
            "usage": self.usage,
            "cost_cents": self.cost,
            "duration_ms": round(self._clock.spent_s * 1000, 3),
        }
        return found if self._model is None else {**found, "model": self._model}

    def _metadata(self) -> dict[str, Any]:
        return {**self._said, "logs": self._lines}


def _held(hold: Hold) -> None:
    if hold is Hold.CANCELLED:
        raise Cancelled("The task was cancelled.")
    if hold is Hold.LOST:
        raise WorkerLost("Another attempt has taken over.")


def _summary(answer: Answer) -> str:
    called = ", ".join(name for _, name, _ in answer.calls)
    return f"calls {called}" if called else f"{len(answer.text)} letters"


def _about(result: Any) -> str:
    """What of a result is worth a line: the id it is about, or why not."""
    if not isinstance(result, dict):
        return ""
    return f", {result['id']}" if "id" in result else f": {result['error']}" if "error" in result else ""


def _answer(step: Step) -> Answer:
    said = step.result
    return Answer(
        text=said["content"],
        calls=[(call[0], call[1], call[2]) for call in said["calls"]],
        finish_reason=said["finish_reason"],
        model=said["model"],
        prompt_tokens=step.prompt_tokens,
        completion_tokens=step.completion_tokens,
        counted=said.get("counted", True),
    )

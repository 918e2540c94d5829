"""One exchange with a language model: an OpenAI-compatible chat completion, streamed.

The library is imported with the first prompt, in a thread: it takes 30 MB and most of a second (docs/why/agent.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mediamill.agent.context import Endpoint
from mediamill.agent.journal import Answer
from mediamill.agent.stack import stack_of
from mediamill.core.errors import Failed, LlmBusy, LlmHttpError, LlmTimeout, SystemFailure
from mediamill.core.webhooks import retry_after_s

_LATER = frozenset((408, 409, 425, 429))
_MOST_LETTERS = 1 << 20
_MOST_CALLS = 128
_MOST_TOKENS = 1 << 30
"""Of one exchange: no model reads as much, and the record has room for twice of it."""
_LETTERS_A_TOKEN = 4
"""About as many as English has; for endpoints that do not count."""

_clients: dict[Endpoint, Any] = {}


def _library() -> Any:
    import openai
    from openai.resources.chat import completions  # noqa: F401 - else imported with the first question, in the loop

    return openai


async def _client(endpoint: Endpoint) -> tuple[Any, Any]:
    """(the library, its client for the endpoint); connections are kept from question to question."""
    openai = await asyncio.to_thread(_library)
    if endpoint not in _clients:
        _clients[endpoint] = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key or "none",  # which the library insists on
            max_retries=0,  # attempts are the run's own, and on record
            timeout=endpoint.timeout_s,
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        )
    return openai, _clients[endpoint]


async def close() -> None:
    """Let the connections go."""
    while _clients:
        _, client = _clients.popitem()
        await client.close()


async def ask(
    endpoint: Endpoint,
    *,
    model: str,
    messages: Sequence[Mapping[str, Any]],
    functions: Sequence[Mapping[str, Any]],
    most_tokens: int | None,
    on_text: Callable[[str], None],
) -> Answer:
    """The model's answer. Raises LlmHttpError, LlmBusy, LlmTimeout, SystemFailure."""
    try:
        openai, client = await _client(endpoint)
    except Exception as error:
        raise _broken(error) from None
    request: dict[str, Any] = {"model": model, "messages": list(messages), "stream": True}
    request["stream_options"] = {"include_usage": True}
    if functions:
        request["tools"] = [{"type": "function", "function": dict(function)} for function in functions]
    if most_tokens is not None:
        request["max_tokens"] = most_tokens
    if not endpoint.api_key:
        request["extra_headers"] = {"Authorization": openai.Omit()}
    heard = _Heard(model)
    try:
        async with asyncio.timeout(endpoint.timeout_s):
            stream = await client.chat.completions.create(**request)
            async with stream:
                async for chunk in stream:
                    if text := _taken(heard, chunk):
                        on_text(text)
        return heard.answer(messages)
    except (TimeoutError, openai.APITimeoutError) as error:
        raise LlmTimeout(f"The model did not answer within {endpoint.timeout_s:g} s.") from error
    except openai.APIStatusError as error:
        raise _refusal(error, endpoint) from error
    except openai.APIConnectionError as error:
        raise LlmBusy("The model's endpoint could not be reached, or broke off.") from error
    except openai.APIError as error:
        raise LlmBusy(f"The model's endpoint failed: {_words(error.message, endpoint)}") from error
    except ValueError as error:
        raise LlmBusy("The model's endpoint answered what cannot be read.") from error
    except Failed:
        raise
    except Exception as error:
        raise _broken(error) from None


def _broken(error: Exception) -> SystemFailure:
    """A fault on our side of the wire. A log of variables would have the key in it, so it is told without."""
    failed = SystemFailure("The client of the model's endpoint broke; the server's log says more.")
    failed.private = failed.stack = stack_of(error)
    return failed


def _refusal(error: Any, endpoint: Endpoint) -> Failed:
    status = error.status_code
    body = error.body if isinstance(error.body, Mapping) else {}
    inner = body.get("error", body)
    said = inner.get("message") if isinstance(inner, Mapping) else inner
    words = f": {_words(said, endpoint)}" if said else ""
    message = f"The model's endpoint answered {status}{words}"
    if status < 500 and status not in _LATER:
        return LlmHttpError(message)
    failed = LlmBusy(message)
    failed.retry_in_s = retry_after_s(error.response.headers.get("retry-after"), datetime.now(UTC))
    return failed


def _words(said: object, endpoint: Endpoint) -> str:
    """An endpoint's own words, on one line and without our key."""
    text = " ".join(str(said).split())
    return (text.replace(endpoint.api_key, "…") if endpoint.api_key else text)[:300]


def _taken(heard: _Heard, chunk: Any) -> str:
    """The letters that a chunk brings. The library believes what an endpoint sends: a chunk may hold anything."""
    try:
        return heard.take(chunk)
    except (TypeError, AttributeError, LookupError, ValueError, OverflowError) as error:
        raise LlmBusy("The model's endpoint answered what is no chat completion.") from error


def _text(value: Any) -> str:
    """What an endpoint says, none as empty. Raises TypeError for what is no text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is no text")
    return value


def _counts(*said: Any) -> tuple[int, int] | None:
    """(tokens read, tokens written) as an endpoint counts them; None for what nobody can have counted."""
    read, wrote = (0 if value is None else value for value in said)
    for value in (read, wrote):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_TOKENS:
            return None
    return read, wrote


class _Heard:
    """An answer while it comes, piece by piece."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._text: list[str] = []
        self._letters = 0
        self._calls: list[list[str]] = []
        self._open: dict[int, list[str]] = {}
        self._finish: str | None = None
        self._usage: tuple[int, int] | None = None

    def take(self, chunk: Any) -> str:
        """The letters that a chunk brings."""
        self._model = _text(chunk.model) or self._model
        if chunk.usage is not None:
            self._usage = _counts(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self._finish = _text(choice.finish_reason) or self._finish
        delta = choice.delta
        if delta is None:
            return ""
        for piece in delta.tool_calls or ():
            function = piece.function
            id, name = _text(piece.id), "" if function is None else _text(function.name)
            arguments = "" if function is None else _text(function.arguments)
            call = self._call(int(piece.index or 0), id, name)
            call[0] = id or call[0]
            call[1] += name
            call[2] += arguments
            self._letters += len(name) + len(arguments)
        text = _text(delta.content)
        self._text.append(text)
        self._letters += len(text)
        if self._letters > _MOST_LETTERS or len(self._calls) > _MOST_CALLS:
            raise LlmHttpError("The model's answer is larger than is taken.")
        return text

    def _call(self, index: int, id: str, name: str) -> list[str]:
        """The call that a piece belongs to. Some endpoints send several whole ones, all of index 0."""
        call = self._open.get(index)
        if call is None or (id and name and call[0] not in ("", id)):
            call = self._open[index] = ["", "", ""]
            self._calls.append(call)
        return call

    def answer(self, messages: Sequence[Mapping[str, Any]]) -> Answer:
        """All of it."""
        text = "".join(self._text)
        if self._finish is None and not text and not self._calls:
            raise LlmBusy("The model's endpoint answered nothing.")
        read = sum(len(str(message.get("content") or "")) for message in messages) // _LETTERS_A_TOKEN
        usage = self._usage or (read + 1, self._letters // _LETTERS_A_TOKEN + 1)
        return Answer(
            text=text,
            calls=[(c[0] or f"call_{i}", c[1], c[2] or "{}") for i, c in enumerate(self._calls)],
            finish_reason=self._finish or "stop",
            model=self._model,
            prompt_tokens=usage[0],
            completion_tokens=usage[1],
            counted=self._usage is not None,
        )

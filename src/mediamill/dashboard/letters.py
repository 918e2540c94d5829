"""Letters of an answer that did not come: told about when they were not kept yet, and made up for when they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mediamill.core.steps import Chunk, Step


class Gaps:
    """What one reader of a run has not been told of the answers under way."""

    def __init__(self) -> None:
        self._heard: dict[int, int] = {}
        self._open: list[tuple[int, int, int]] = []  # step, from, to

    @property
    def any(self) -> bool:
        """Whether something is missing."""
        return bool(self._open)

    def step(self, number: int) -> None:
        """A step was told whole."""
        self._heard.pop(number, None)
        self._open = [gap for gap in self._open if gap[0] != number]

    def chunk(self, chunk: Chunk) -> None:
        """Some letters were told."""
        heard = self._heard.get(chunk.number, 0)
        if chunk.offset > heard:
            self._open.append((chunk.number, heard, chunk.offset))
        self._heard[chunk.number] = max(heard, chunk.offset + len(chunk.text))

    def filled(self, steps: Sequence[Step]) -> list[Chunk]:
        """What is missing no more, as the steps are kept by now."""
        kept: dict[int, str] = {}
        for step in steps:
            said = step.result.get("content") if isinstance(step.result, Mapping) else None
            if step.state == "begun" and isinstance(said, str):
                kept[step.number] = said
        found = [
            Chunk(task_id="", number=number, offset=start, text=kept[number][start:end])
            for number, start, end in self._open
            if len(kept.get(number, "")) >= end
        ]
        done = {(chunk.number, chunk.offset) for chunk in found}
        self._open = [gap for gap in self._open if gap[:2] not in done]
        return found

"""One file per kind of task. Each carries `KIND`, and its file name is its registered name.

A kind sees only its `Context`: inputs on local disk, a scratch folder, engines, progress and limits. It returns the
files it made and never fetches, stores or notifies. `run` is synchronous and executes in a sandboxed child process.
Importing a kind must not import an engine or any heavy library: listing kinds is part of every start.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import msgspec

from mediamill.core.errors import ToolFailed, Unsupported
from mediamill.core.ports import Engine, Engines, Missing, Remote, Report
from mediamill.core.tasks import Source

Queue = Literal["cpu", "gpu", "io", "agent"]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every kind's options: checked before queueing; the API schema and CLI flags come from it."""


O = TypeVar("O", bound=Options)  # noqa: E741 - the house's name for "this kind's options"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What is known of an input before it is there: its claimed or sniffed type (None: not yet) and its name."""

    mime: str | None = None
    filename: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input on local disk, read-only. `mime` is the canonical, sniffed type. `url` is where it was read, as the
    caller knows it, for kinds that are told (`Kind.located`)."""

    path: Path
    mime: str
    filename: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One file made, somewhere below the scratch folder; or an input as it is, which is then not copied.

    `role` is "result" for the one a caller asked for.
    """

    path: Path
    mime: str
    filename: str
    role: str = "result"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a kind hands back: files, and facts about the processing that dialects show (engine, pages, …)."""

    outputs: Sequence[Output]
    details: Mapping[str, Any] = field(default_factory=dict)


class Publish(Protocol):
    """Makes files available while the work goes on; they must not change any more, and are not returned again."""

    def __call__(self, outputs: Sequence[Output]) -> None: ...


def _nowhere(outputs: Sequence[Output]) -> None:
    """Where there is nobody to show files to."""


def _nobody(service: str, path: str, **request: Any) -> Any:
    raise ToolFailed(f"The service {service} cannot be reached from here.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All a kind may touch. `inputs`: the task's own, then what its options name (`Kind.attachments`), in order.

    metadata: what the caller gave with the task and its run, the task's own before the run's.
    """

    inputs: Sequence[Input]
    scratch: Path
    engines: Engines
    report: Report
    publish: Publish = _nowhere
    remote: Remote = _nobody
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Kind(Protocol[O]):
    """One thing that can be asked for. These nine are facts of the class, as plain as `name = "trim"`."""

    @property
    def name(self) -> str:
        """The file's name."""

    @property
    def summary(self) -> str:
        """One sentence, for people who choose."""

    @property
    def options(self) -> type[O]:
        """What can be chosen."""

    @property
    def queue(self) -> Queue:
        """The class of resource it needs."""

    @property
    def inputs(self) -> tuple[int, int]:
        """Least and most number of inputs."""

    @property
    def reusable(self) -> bool:
        """Whether the same bytes, options and tools always give the same files, so that earlier ones may answer."""

    @property
    def light(self) -> bool:
        """Whether it takes no input, makes no file and starts no program, so that many can be done at one go."""

    @property
    def located(self) -> bool:
        """Whether it is told where its inputs were read: an address may hold a secret, so that most are not."""

    @property
    def package(self) -> bool:
        """Whether its result is a manifest of further files, and worth nothing without them."""

    @property
    def hosted(self) -> bool:
        """Whether the worker does it itself instead of `run` in a child: for what waits most of its time."""

    def missing(self, engines: Engines) -> Missing | None:
        """Why this kind is off on this install, with the remedy; None when it is on."""

    def check(self, options: O, inputs: Sequence[Hint], engines: Engines) -> O:
        """The options as they will be run; raises Invalid (or a subclass) with a dotted field."""

    def attachments(self, options: O) -> Sequence[Source]:
        """Files and URLs that the options name (a logo, a subtitle file): fetched as inputs are, and handed to `run`
        after them."""

    def destination(self, options: O) -> Mapping[str, Any] | None:
        """{url, connection} of the bucket that the options name for the result, which the worker then sends there: a
        child has no network and sees no credentials. Any task can have one beside its options, too."""

    def run(self, ctx: Context, options: O) -> Result:
        """Do the work. Raises a core `Failed` for anything that goes wrong."""


class Base(Generic[O]):
    """What most kinds share: on the cpu queue, one input, always available, options as given."""

    queue: ClassVar[Queue] = "cpu"
    inputs: ClassVar[tuple[int, int]] = (1, 1)
    light: ClassVar[bool] = False
    reusable: ClassVar[bool] = True
    command: ClassVar[str | None] = None
    """A shorter name for it on the command line. Written as `command = "…"`: the line is read off the file."""
    ports: ClassVar[tuple[type[Engine], ...]] = ()
    """What it asks engines for; capabilities name those that are there, with their licence and speed."""
    located: ClassVar[bool] = False
    package: ClassVar[bool] = False
    hosted: ClassVar[bool] = False

    def missing(self, engines: Engines) -> Missing | None:
        return None

    def check(self, options: O, inputs: Sequence[Hint], engines: Engines) -> O:
        return options

    def attachments(self, options: O) -> Sequence[Source]:
        return ()

    def destination(self, options: O) -> Mapping[str, Any] | None:
        return None


@cache
def load() -> Mapping[str, Kind[Any]]:
    """Every kind by name, found by scanning this folder."""
    found: dict[str, Kind[Any]] = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            kind = importlib.import_module(f"{__name__}.{module.name}").KIND
            found[kind.name] = kind
    return found


def named(name: str) -> Kind[Any]:
    """The kind of that name; raises Unsupported with the names there are."""
    try:
        return load()[name]
    except KeyError:
        raise Unsupported("kind", f"{name!r} is not a kind; there are {', '.join(sorted(load()))}.") from None

"""What recognisers say of how far they are, what is made of it, and how they share the work."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.tools import PlainTools

from mediamill.core.errors import ToolFailed
from mediamill.core.speech import Listening
from mediamill.engines import _speech_course, _speech_farm, _speech_program
from mediamill.engines._speech_course import Course
from mediamill.engines._speech_farm import Crew, Farm
from mediamill.engines._speech_voice import Span

PID = _speech_farm.MOST_PID
"""No process has that number: what it used is only what it says."""


def no_service(service: str, path: str, **request: Any) -> Any:
    raise AssertionError(f"nothing is asked of {service}")


FARM = Farm(
    name="any", program="", arguments=(), processes=2, load_s=0.0, speed=0.2, piece_s=0.25, block_s=0.5, later=0.25
)
PROGRAM = """
import json, os, sys
path, processes, *rest = sys.argv[1:]
say = lambda what: os.write(1, json.dumps([os.getpid(), what]).encode() + b"\\n")
say("begun")
say("loaded")
"""


def work(folder: Path, said: list[float] | None = None) -> Listening:
    def report(stage: str, fraction: float | None = None) -> None:
        if said is not None and fraction is not None:
            said.append(fraction)

    return Listening(
        source=folder, source_mime="audio/flac", scratch=folder, tools=PlainTools(), remote=no_service, report=report
    )


@pytest.fixture(autouse=True)
def usual_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_speech_course, "slowness", lambda: 1.0)


LIMITED = """
import resource, sys
if sys.argv[1] == "limited":
    resource.setrlimit(resource.RLIMIT_CPU, (600, 600))
from mediamill.engines._processor import slowness
print(*(slowness() for _ in range(5)))
"""


def test_a_limit_of_processor_time_makes_the_machine_no_faster() -> None:
    """With one, the clock of a process goes by ticks, in most of which less than one has passed."""
    free, limited = (
        [float(word) for word in subprocess.check_output([sys.executable, "-c", LIMITED, how]).split()]
        for how in ("free", "limited")
    )

    assert 1.0 not in limited, "what is taken where a clock told nothing"
    assert min(free) / 4 < min(limited) < min(free) * 4


@pytest.fixture
def crew(tmp_path: Path) -> Crew:
    made = Crew(FARM, [4.0, 2.0], Course(work(tmp_path)))
    made.hear(PID, "begun")
    made.hear(PID, {"loading": 0.5})
    made.hear(PID, "loaded")
    return made


def at(piece: int, at_s: float, used_s: float) -> dict[str, Any]:
    return {"piece": piece, "at": at_s, "used": used_s}


def test_the_nearer_the_end_of_a_piece_the_less_is_to_come(crew: Crew) -> None:
    left_s = [crew.to_come_s]
    for second in (0.0, 0.5, 2.5, 4.0):
        crew.hear(PID, at(0, second, 1000.0 + 0.2 * second))
        left_s.append(crew.to_come_s)
    crew.hear(PID, {"piece": 0, "heard": []})
    left_s.append(crew.to_come_s)

    assert left_s[0] == left_s[1]
    assert left_s[1:] == sorted(set(left_s[1:]), reverse=True)


def test_pieces_that_turn_out_slow_make_what_is_to_come_more(crew: Crew, tmp_path: Path) -> None:
    other = Crew(FARM, [4.0, 2.0], Course(work(tmp_path)))
    for one, speed in ((crew, 0.2), (other, 2.0)):
        if one is other:
            one.hear(PID, "begun")
            one.hear(PID, "loaded")
        for second in (0.0, 0.5, 2.5):
            one.hear(PID, at(0, second, 1000.0 + speed * second))

    assert other.to_come_s > 3 * crew.to_come_s


def test_what_comes_after_a_piece_goes_by_what_going_through_it_took(tmp_path: Path) -> None:
    left_s = []
    for speed in (0.1, 0.4):
        crew = Crew(replace(FARM, later=0.25, later_s=0.5), [2.0], Course(work(tmp_path)))
        for said in ("begun", "loaded", at(0, 0.0, 1000.0), at(0, 0.5, 1000.0 + 0.5 * speed)):
            crew.hear(PID, said)
        crew.hear(PID, at(0, 2.0, 1000.0 + 2 * speed))
        left_s.append(crew.to_come_s)

    assert left_s == pytest.approx([0.25 * 0.2 + 0.5, 0.25 * 0.8 + 0.5])


@pytest.mark.parametrize(
    "said",
    [
        at(0, 0.2, 1000.9),
        at(0, 1.0, 1000.1),
        at(0, float("nan"), 1001.0),
        at(1, 1.0, 1001.0),
        at(2, 0.0, 1001.0),
        {"piece": 1, "heard": []},
        {"piece": 0, "at": 1.0},
        {"piece": 0, "at": "x", "used": 1001.0},
        {"piece": True, "at": 1.0, "used": 1001.0},
        {"loading": 0.5},
        "begun",
        "loaded",
        None,
        7,
    ],
    ids=str,
)
def test_a_recogniser_that_goes_back_or_babbles_has_failed(crew: Crew, said: Any) -> None:
    crew.hear(PID, at(0, 0.0, 1000.0))
    crew.hear(PID, at(0, 0.5, 1000.7))

    with pytest.raises(ToolFailed):
        crew.hear(PID, said)


def test_an_answer_is_taken_once(crew: Crew) -> None:
    crew.hear(PID, at(0, 0.0, 1000.0))
    crew.hear(PID, {"piece": 0, "heard": ["word"]})

    with pytest.raises(ToolFailed):
        crew.hear(PID, {"piece": 0, "heard": ["other"]})
    assert crew.found == {0: ["word"]}


def hear(folder: Path, program: str, pieces: int, said: list[float] | None = None) -> list[Any]:
    path = folder / "program.py"
    path.write_text(PROGRAM + program)
    asked = work(folder, said)
    farm = Farm(name="any", program=str(path), arguments=("x",), processes=2, load_s=0.01, speed=0.01, piece_s=0.1)
    return _speech_farm.hear(asked, farm, [Span(n, n + 0.5 + n / 10) for n in range(pieces)], Course(asked))


def test_the_longest_pieces_are_given_first_and_answers_come_in_order(tmp_path: Path) -> None:
    said: list[float] = []
    answers = hear(
        tmp_path,
        "for nth, line in enumerate(open(path)):\n"
        "    number, first, last = map(int, line.split())\n"
        '    say({"piece": number, "heard": [nth, first, last, processes, rest]})\n',
        3,
        said,
    )

    assert answers == [[2, 0, 8000, "2", ["x"]], [1, 16000, 25600, "2", ["x"]], [0, 32000, 43200, "2", ["x"]]]
    assert said == sorted(said)


@pytest.mark.parametrize(
    "program",
    [
        "os._exit(3)",
        "os.kill(os.getpid(), 11)",
        "os.write(1, b'nonsense\\n')",
        "os.write(1, b'[-1, 2]\\n')",
        "os.write(1, b'[9999999, 2]\\n')",
    ],
)
def test_a_program_that_dies_or_babbles_has_failed(tmp_path: Path, program: str) -> None:
    with pytest.raises(ToolFailed):
        hear(tmp_path, program, 2)


def test_threads_that_wait_leave_the_processors_to_others(tmp_path: Path) -> None:
    told = 'say({"piece": 0, "heard": os.environ["OMP_WAIT_POLICY"]})'

    assert hear(tmp_path, told, 1) == ["passive"]


def test_processes_share_the_pieces_and_each_is_heard_once(tmp_path: Path) -> None:
    """Those of the default recogniser, with something simpler in place of its decoder."""
    answers = hear(tmp_path, FORKED.format(hear="say_pid(samples)"), 40)

    assert [bytes_ for _, bytes_ in answers] == [2 * round((0.5 + n / 10) * 16000) for n in range(40)]


def test_one_process_that_dies_ends_the_others_and_the_task(tmp_path: Path) -> None:
    dies = "os.kill(os.getpid(), 11) if len(samples) < 20000 else signal.pause()"
    with pytest.raises(ToolFailed):
        hear(tmp_path, FORKED.format(hear=dies), 2)

    heard_by = (tmp_path / "pids").read_text().split()
    assert heard_by
    assert not [pid for pid in heard_by if Path(f"/proc/{pid}").exists()]


FORKED = f"""
sys.path[:0] = {sys.path!r}
import signal
from mediamill.engines import _speech_program, _speech_sphinx
def say_pid(samples):
    return [os.getpid(), len(samples)]
def hear(decoder, samples, tell):
    with open("pids", "a") as file:
        file.write(f"{{{{os.getpid()}}}}\\n")
    return {{hear}}
_speech_sphinx.hear = hear
open("sound", "wb").write(bytes(32000 * 60))
pieces = _speech_program.Pieces(path)
_speech_program.fork(2, lambda: _speech_sphinx._serve(None, pieces, "sound"))
"""


def test_one_that_goes_by_windows_is_as_far_as_it_says(tmp_path: Path) -> None:
    farm = replace(FARM, block_s=math.inf, later=0.0, piece_s=1.0, speed=0.1)
    crew = Crew(farm, [10.0], Course(work(tmp_path)))
    crew.hear(PID, "begun")
    crew.hear(PID, "loaded")
    crew.hear(PID, {"piece": 0, "at": 0.0, "used": 0.0})
    assert crew.to_come_s == pytest.approx(1.1)
    crew.hear(PID, {"piece": 0, "at": 6.0, "used": 0.9})
    assert crew.to_come_s == pytest.approx(0.5)
    crew.hear(PID, {"piece": 0, "at": 9.0, "used": 0.9})
    assert crew.to_come_s == pytest.approx(0.1)  # no further window for so little
    crew.hear(PID, {"piece": 0, "heard": []})
    assert crew.to_come_s == 0


def test_what_is_found_out_before_the_first_piece_is_to_come_until_then(tmp_path: Path) -> None:
    farm = replace(FARM, find_s=3.0, each_s=0.5, load_s=0.0, speed=0.0, piece_s=0.0, block_s=math.inf, later=0.0)
    crew = Crew(farm, [2.0, 2.0], Course(work(tmp_path)))
    crew.hear(PID, "begun")
    assert crew.to_come_s == pytest.approx(4.0)
    crew.hear(PID, "loaded")
    for pid in (PID - 1, PID - 2):
        crew.hear(pid, "begun")
        crew.hear(pid, "loaded")
    assert crew.to_come_s > 0.1  # this machine is quick, by what loading took
    crew.hear(PID - 1, {"piece": 1, "at": 0.0, "used": 0.5})
    assert crew.to_come_s < 0.01


AGREED = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from mediamill.engines import _speech_program
agree = _speech_program.agreed()
def find():
    os.write(1, b"looked ")
    return "de"
_speech_program.fork(3, lambda: os.write(1, agree(find).encode() + b" "))
"""


def test_processes_agree_on_what_the_first_of_them_finds() -> None:
    done = subprocess.run([sys.executable, "-c", AGREED], check=True, capture_output=True, text=True)

    assert done.stdout.split() == ["looked", "de", "de", "de"]


def test_the_longest_pieces_are_shown_and_left(tmp_path: Path) -> None:
    (tmp_path / "sound").write_bytes(bytes(range(12)))
    (tmp_path / "pieces").write_text("".join(_speech_farm._LINE.format(*one) for one in ((1, 2, 5), (0, 0, 2))))
    pieces = _speech_program.Pieces(str(tmp_path / "pieces"))

    assert list(pieces.longest(str(tmp_path / "sound"))) == [bytes(range(4, 10)), bytes(range(4))]
    assert next(pieces.longest(str(tmp_path / "sound"))) == bytes(range(4, 10))
    assert [number for number, _ in pieces.left(str(tmp_path / "sound"))] == [1, 0]


def test_processes_that_load_for_themselves_are_waited_for(tmp_path: Path) -> None:
    farm = replace(FARM, each_s=0.5, speed=0.0, piece_s=0.0, block_s=math.inf, later=0.0)
    crew = Crew(farm, [2.0, 2.0], Course(work(tmp_path)))
    crew.hear(PID, "begun")
    crew.hear(PID, "loaded")
    assert crew.to_come_s == pytest.approx(1.0)
    crew.hear(PID - 1, "begun")
    assert crew.to_come_s == pytest.approx(1.0)
    crew.hear(PID - 2, "begun")
    with pytest.raises(ToolFailed):
        crew.hear(PID - 3, "begun")
    crew.hear(PID - 1, "loaded")
    assert crew.to_come_s < 0.9
    crew.hear(PID - 1, {"piece": 1, "at": 0.0, "used": 0.5})
    crew.hear(PID - 1, {"piece": 1, "heard": []})

"""Processors to work with: affinity, and the quotas of control groups of both versions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from mediamill import processors


def counted(
    monkeypatch: pytest.MonkeyPatch, folder: Path, groups: str, files: Mapping[str, str], allowed: int = 64
) -> int:
    (folder / "cgroup").write_text(groups)
    for name, text in files.items():
        path = folder / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(processors, "_GROUPS", folder / "cgroup")
    monkeypatch.setattr(processors, "_MOUNTED", folder / "mounted")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)))
    return processors.count.__wrapped__()


@pytest.mark.parametrize(
    ("groups", "files", "count"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {}, 64),
        ("0::/a.slice/b.service\n", {"a.slice/cpu.max": "300000 100000\n", "a.slice/b.service/cpu.max": "max 1\n"}, 3),
        ("0::/docker/1f\n", {"cpu.max": "400000 100000\n"}, 4),
        (
            "3:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/x/cpu.cfs_period_us": "1\n"},
            64,
        ),
        ("3:cpu:/x\n1:memory:/y\n", {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ("0::/\n", {"cpu.max": "no such thing\n"}, 64),
        ("0::/\n", {"cpu.max": "100000 0\n"}, 64),
    ],
)
def test_a_quota_is_heeded_wherever_it_is_set(
    groups: str, files: Mapping[str, str], count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert counted(monkeypatch, tmp_path, groups, files) == count


def test_no_quota_gives_more_than_a_process_may_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(monkeypatch, tmp_path, "0::/\n", {"cpu.max": "900000 100000\n"}, allowed=3) == 3


def test_what_cannot_be_read_limits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_GROUPS", tmp_path / "none")
    assert processors.count.__wrapped__() == len(os.sched_getaffinity(0))

"""What a task ends with that the worker itself broke at."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mediamill.core.errors import OutOfSpace, StorageFull, SystemFailure
from mediamill.worker._ends import unforeseen

TASK = cast(Any, SimpleNamespace(id="t1", kind="convert"))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "/srv/x"), OSError(errno.EDQUOT, "/srv/x"), StorageFull()])
def test_a_full_disk_is_named_and_tried_again(error: Exception) -> None:
    end = unforeseen(error, TASK, hosted=False)

    assert isinstance(end, OutOfSpace)
    assert end.retryable
    assert "/srv" not in str(end)


@pytest.mark.parametrize(("hosted", "code"), [(True, SystemFailure.code), (False, "failed")])
def test_anything_else_is_our_fault_and_told_in_the_log_alone(hosted: bool, code: str) -> None:
    end = unforeseen(OSError(errno.EIO, "/srv/x"), TASK, hosted=hosted)

    assert (end.code, end.retryable) == (code, False)
    assert "/srv" not in str(end)

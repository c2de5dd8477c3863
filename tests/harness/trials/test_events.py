"""What an error of a trial means for the sweep."""

from __future__ import annotations

import errno

import pytest

from harness.trials.events import Failed, failure
from headstart.errors import DataError, StorageError


@pytest.mark.parametrize(
    ("err", "retry", "fatal"),
    [
        (StorageError("the disk is full"), False, True),
        (OSError(errno.ENOSPC, "No space left on device"), False, True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), False, True),
        (DataError("no such class"), False, False),
        (OSError(errno.EIO, "Input/output error"), True, False),
        (RuntimeError("a bug"), True, False),
    ],
)
def test_bad_input_fails_again_and_a_full_disk_ends_the_sweep(err, retry, fatal):
    event = failure("a", err)
    assert isinstance(event, Failed)
    assert (event.trial_id, event.retry, event.fatal) == ("a", retry, fatal)
    assert str(err) in event.error

"""A question asked of another process: its answer, its error, or what became of it."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest

from headstart.apart import NoAnswer, ask_apart
from headstart.errors import HeadstartError, TuningError
from headstart.yaml12 import read_yaml


def test_the_answer_is_of_another_process(tmp_path: Path) -> None:
    assert ask_apart(os.getpid, name="who") != os.getpid()
    with pytest.raises(HeadstartError, match=r"none\.yaml"):
        ask_apart(read_yaml, tmp_path / "none.yaml", name="reads")
    with pytest.raises(NoAnswer) as err:
        ask_apart(os._exit, 7, name="dies")
    assert err.value.exit_status == 7
    with pytest.raises(NoAnswer):
        ask_apart(time.sleep, 60, name="sleeps", within_s=0.1)


def test_an_error_of_layers_comes_back_whole() -> None:
    error = pickle.loads(pickle.dumps(TuningError("fine_tune", "'x' is no layer group")))
    assert (error.key, error.text) == ("fine_tune", "'x' is no layer group")
    assert str(error) == "fine_tune: 'x' is no layer group"

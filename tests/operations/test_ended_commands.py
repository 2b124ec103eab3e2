"""Commands without a server that are told to end: the engines that they opened are closed, not left."""

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from rapport_command import postgres_processes

import loaded_program
from rapport import cli


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_command_that_is_told_to_end_leaves_no_engine(folder: Path, number: int, code: int) -> None:
    data_dir = folder / str(code)
    words = ["import", "customers", "FILE", "--tenant", "none", "--data-dir", str(data_dir)]
    with tempfile.TemporaryFile("w+") as errors:
        started = loaded_program.begin(words, dict(os.environ), errors)
        deadline = time.monotonic() + 60
        while not postgres_processes(data_dir):
            assert time.monotonic() < deadline and started.poll() is None
            time.sleep(0.01)
        started.send_signal(number)
        ended = started.wait(60)
        started.stdout.close()
        errors.seek(0)
        assert (ended, "Traceback" in errors.read()) == (code, False)
    assert postgres_processes(data_dir) == []


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = {number: signal.getsignal(number) for number in cli.ENDS}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        cli._end_in_order()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN and callable(signal.getsignal(signal.SIGTERM))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

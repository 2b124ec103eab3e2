"""A server and commands that are started at once on one folder, as a newcomer's paste does."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rapport_command import PROGRAM, Server, run

from rapport.errors import Held
from rapport.stores.embedded import hold

PAUSES = (0.0, 0.7, 2.0)


def begin(*arguments: object) -> "subprocess.Popen[str]":
    words = [*PROGRAM, *(str(argument) for argument in arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(command: "subprocess.Popen[str]") -> dict[str, object]:
    """What a command answered, which must have gone well."""
    out, err = command.communicate(timeout=90)
    assert command.returncode == 0, err
    return dict(json.loads(out))


@pytest.mark.parametrize("pause", PAUSES)
def test_a_command_beside_a_server_that_starts(folder: Path, start: Callable[..., Server], pause: float) -> None:
    data_dir = folder / f"server-first-{pause}"
    command: list[subprocess.Popen[str]] = []

    def meanwhile() -> None:
        time.sleep(pause)
        command.append(begin("tenant", "create", "Northwind", "--data-dir", data_dir, "--json"))

    server = start(data_dir, meanwhile)
    assert ended(command[0])["name"] == "Northwind"
    assert run("tenant", "list", "--data-dir", data_dir, "--json").json[0]["name"] == "Northwind"
    assert server.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("pause", PAUSES)
def test_a_server_beside_a_command_that_works(folder: Path, start: Callable[..., Server], pause: float) -> None:
    data_dir = folder / f"command-first-{pause}"
    command = begin("tenant", "create", "Northwind", "--data-dir", data_dir, "--json")
    time.sleep(pause)
    server = start(data_dir)
    assert ended(command)["name"] == "Northwind"
    assert run("tenant", "list", "--data-dir", data_dir, "--json").json[0]["name"] == "Northwind"
    assert server.end(signal.SIGTERM) == 0


def test_commands_side_by_side_and_a_server_after_one_that_ends(folder: Path, start: Callable[..., Server]) -> None:
    data_dir = folder / "many"
    commands = [begin("tenant", "create", name, "--data-dir", data_dir, "--json") for name in ("a", "b")]
    assert {ended(command)["name"] for command in commands} == {"a", "b"}
    first = start(data_dir)
    first.process.send_signal(signal.SIGTERM)
    second = start(data_dir)
    assert first.end(signal.SIGTERM) == 0
    # One line: no other says that it waits.
    assert "stop that server" in run("serve", "--data-dir", data_dir, "--port", "0").line
    assert second.end(signal.SIGTERM) == 0


def test_the_sentence_says_what_holds_the_folder(folder: Path) -> None:
    data_dir = folder / "held"
    data_dir.mkdir()
    for serving, way_out in ((True, "stop that server"), (False, "wait until that command has ended")):
        code = f"import sys; from pathlib import Path; from rapport.stores.embedded import hold; \
hold(Path({str(data_dir)!r}), {serving}); print('held', flush=True); sys.stdin.read()"
        words = [PROGRAM[0], "-c", code]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            with pytest.raises(Held) as raised:
                hold(data_dir, True)
            holder.communicate()
        sentence = f"Process {holder.pid} holds this data folder: {way_out}, or give --data-dir another folder."
        assert raised.value.message == sentence

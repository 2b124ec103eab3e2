"""A server and commands that are started at once on one folder, as a newcomer's paste does."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rapport_command import SECONDS, Server, run

import loaded_program
from rapport.errors import Held
from rapport.stores.local.embedded import hold

PAUSES = (0.0, 0.7)


class Command:
    """A command that goes on beside the test."""

    def __init__(self, *arguments: object) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the command
        self.process = loaded_program.begin([str(one) for one in arguments], dict(os.environ), self.errors)

    def ended(self) -> dict[str, object]:
        """What it answered; it must have gone well."""
        with self.errors:
            out = self.process.stdout.read()
            code = self.process.wait(SECONDS)
            self.process.close()
            self.errors.seek(0)
            assert code == 0, self.errors.read()
        return dict(json.loads(out))


@pytest.mark.parametrize("pause", PAUSES)
def test_a_command_beside_a_server_that_starts(folder: Path, start: Callable[..., Server], pause: float) -> None:
    data_dir = folder / f"server-first-{pause}"
    command: list[Command] = []

    def meanwhile() -> None:
        time.sleep(pause)
        command.append(Command("tenant", "create", "Northwind", "--data-dir", data_dir, "--json"))

    server = start(data_dir, meanwhile)
    assert command[0].ended()["name"] == "Northwind"
    assert run("tenant", "list", "--data-dir", data_dir, "--json").json[0]["name"] == "Northwind"
    assert server.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("pause", PAUSES)
def test_a_server_beside_a_command_that_works(folder: Path, start: Callable[..., Server], pause: float) -> None:
    data_dir = folder / f"command-first-{pause}"
    command = Command("tenant", "create", "Northwind", "--data-dir", data_dir, "--json")
    time.sleep(pause)
    server = start(data_dir)
    assert command.ended()["name"] == "Northwind"
    assert run("tenant", "list", "--data-dir", data_dir, "--json").json[0]["name"] == "Northwind"
    assert server.end(signal.SIGTERM) == 0


def test_commands_side_by_side_and_a_server_after_one_that_ends(folder: Path, start: Callable[..., Server]) -> None:
    data_dir = folder / "many"
    commands = [Command("tenant", "create", name, "--data-dir", data_dir, "--json") for name in ("a", "b")]
    assert {command.ended()["name"] for command in commands} == {"a", "b"}
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
        code = f"import sys; from pathlib import Path; from rapport.stores.local.embedded import hold; \
hold(Path({str(data_dir)!r}), serving={serving}); print('held', flush=True); sys.stdin.read()"
        holder = loaded_program.talk_to_script(code)
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(Held) as raised:
                hold(data_dir, serving=True)
        finally:
            holder.close()
            holder.wait(SECONDS)
        sentence = f"Process {holder.pid} holds this data folder: {way_out}, or give --data-dir another folder."
        assert raised.value.message == sentence

"""A command line that cannot be read is told in one line that names the option and its form, with exit code 2."""

import pytest
from rapport_command import run

from rapport.access.keys import ACCESS_TYPES
from rapport.commands.access import AccessType

KEY = ("key", "create", "--tenant", "a", "--nickname", "n", "--contact")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("serve", "--bogus"), "Error: No such option: --bogus (Possible options: --host). Try rapport serve --help."),
        (("nonsense",), "Error: No such command 'nonsense'. Try rapport --help."),
        (("tenant", "create"), "Error: Missing argument 'name'. Try rapport tenant create --help."),
        (("key", "create"), "Error: Missing option '--tenant'. Try rapport key create --help."),
        (
            ("import", "people", "x", "--tenant", "a"),
            "Error: Invalid value for 'kind': 'people' is not one of 'customers', 'transactions', 'items', 'products', "
            "'activity'. Try rapport import --help.",
        ),
        (
            ("cycle", "run", "--tenant", "a", "--date", "24.11.2026"),
            "Error: Invalid value for '--date': it must be a day in the form YYYY-MM-DD, not '24.11.2026'. "
            "Try rapport cycle run --help.",
        ),
        (("tennant", "list"), "Error: No such command 'tennant'. Did you mean 'tenant'? Try rapport --help."),
        (
            ("serve", "--port", "99999999"),
            "Error: Invalid value for '--port': it must be a number from 0 to 65535, not '99999999'. "
            "Try rapport serve --help.",
        ),
        (
            (*KEY, "b"),
            "Error: Invalid value for '--contact': it must be an e-mail address, not 'b'. "
            "Try rapport key create --help.",
        ),
        (
            (*KEY, "a@example.com", "--type", "Owner"),
            "Error: Invalid value for '--type': 'Owner' is not one of 'admin', 'integrations', 'transactional'. "
            "Try rapport key create --help.",
        ),
    ],
)
def test_one_line(words: tuple[str, ...], told: str) -> None:
    assert run(*words).usage == told


def test_a_command_without_its_arguments_shows_its_help() -> None:
    ended = run("key")
    assert (ended.code, ended.err) == (2, "")
    assert "disable" in ended.out


def test_a_port_of_the_environment_is_named_so() -> None:
    line = run("doctor", RAPPORT_PORT="99999999").line
    assert line == "RAPPORT_PORT cannot be used: it must be at most 65535."


def test_every_access_type_can_be_given() -> None:
    assert {one.value for one in AccessType} == set(ACCESS_TYPES)

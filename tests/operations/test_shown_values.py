"""What commands show people is what there is: brackets in it are no markup."""

import pytest

from rapport.commands.output import show, show_rows

NASTY = ["[x]", "[/]", "[bold]a[/bold]", ":smile:", "plain"]


def test_values_with_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"name": value} for value in NASTY], ["name"], as_json=False)
    show(None, f"For example {' '.join(NASTY)}.", as_json=False)
    told = capsys.readouterr().out
    assert all(told.count(value) == 2 for value in NASTY)

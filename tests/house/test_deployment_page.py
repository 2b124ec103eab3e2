"""docs/deployment.md shows the files of deploy/ as they are."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("language", "name"), [("ini", "rapport.service"), ("nginx", "nginx.conf")])
def test_the_page_on_deployment_shows_a_file_in_full(language: str, name: str) -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    assert f"```{language}\n{(ROOT / 'deploy' / name).read_text().rstrip()}\n```" in page

"""docs/deployment.md shows the files of deploy/ as they are, and nginx lets through what Rapport takes."""

import re
from pathlib import Path

import pytest

from rapport.api.http.body_sizes import MIB, UPLOADS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("language", "name"), [("ini", "rapport.service"), ("nginx", "nginx.conf")])
def test_the_page_on_deployment_shows_a_file_in_full(language: str, name: str) -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    assert f"```{language}\n{(ROOT / 'deploy' / name).read_text().rstrip()}\n```" in page


@pytest.mark.parametrize("path", UPLOADS)
def test_nginx_lets_files_through_that_rapport_takes(path: str) -> None:
    conf = (ROOT / "deploy" / "nginx.conf").read_text()
    location = re.search(rf"location = {re.escape(path)} {{[^}}]*client_max_body_size (\d+)([mg]);", conf)
    assert location is not None, f"{path} has no location of its own"
    assert int(location[1]) * {"m": MIB, "g": 1024 * MIB}[location[2]] >= UPLOADS[path]

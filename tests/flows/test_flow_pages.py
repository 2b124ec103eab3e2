"""The commands of docs/flows do what the pages say."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flow_company import Company
from flow_page import PAGES, Shell, run_page
from flow_vendor import Vendor, of

FLOWS = sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "README")


class Reader:
    """Somebody who follows the pages, with a receiver at HOOK."""

    def __init__(self, company: Company, receiver: Vendor, folder: Path) -> None:
        self.company, self.receiver = company, receiver
        vendor_key = company.manage(
            "keys", {"nickname": "r", "contact_email": "r@x.org", "access_type": "Integrations"}
        )
        variables = {"BASE": company.base_url, "ADMIN": company.key, "KEY": vendor_key["key"], "HOOK": receiver.url}
        self.shell = Shell(folder, variables)
        self.blocks = run_page("README", self.shell, self.happens, self.after)

    def after(self) -> None:
        """Learn the secrets of what was registered."""
        self.receiver.secrets = [one["secret"] for one in self.company.see("listeners")]

    def happens(self, what: str) -> Any:
        """What a comment of a page says."""
        campaign = int(self.shell.value("CAMPAIGN"))
        if what == "the deadline and the send":
            by = datetime.fromisoformat(self.company.see(f"campaigns/{campaign}")["clearance_by"])
            for minutes in (0, 30):
                self.company.pass_to(by + timedelta(minutes=minutes))
            return None
        kind, number = what.split()
        assert kind == "event"
        return self.receiver.wait(of(int(number), campaign))[0]


@pytest.fixture(scope="module")
def reader(living: Company, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with living.hires(Vendor, "Admin") as receiver:
        yield Reader(living, receiver, tmp_path_factory.mktemp("flows"))


@pytest.mark.parametrize("flow", FLOWS)
def test_the_commands_of_a_page(company: Company, reader: Reader, flow: str) -> None:
    assert run_page(flow, reader.shell, reader.happens, reader.after) >= 2
    assert reader.receiver.refused == 0


def test_the_index_names_every_page() -> None:
    text = (PAGES / "README.md").read_text()
    assert all(f"[{flow}]({flow}.md)" in text for flow in FLOWS)

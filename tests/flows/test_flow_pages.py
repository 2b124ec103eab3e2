"""The commands of docs/flows do what the pages say."""

import json
import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flow_company import Company
from flow_page import PAGES, Shell, run_page
from flow_vendor import Event, Vendor, eventually, of

FLOWS = sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "README")
REAL_TIME = {flow for flow in FLOWS if "triggered" in flow or "metrics" in flow}


class Receiver(Vendor):
    """The reader's own: a listener, and a gateway that allows everybody."""

    def verdict(self, question: Event) -> bool:
        return True


class Reader:
    """Somebody who follows the pages, with a receiver at HOOK and GATEWAY."""

    def __init__(self, company: Company, receiver: Receiver, folder: Path) -> None:
        self.company, self.receiver = company, receiver
        new = {"nickname": "Reader", "contact_email": "reader@example.com", "access_type": "Integrations"}
        variables = {
            "BASE": company.base_url,
            "ADMIN": company.key,
            "KEY": company.manage("keys", new)["key"],
            "HOOK": receiver.url,
            "GATEWAY": receiver.gateway_url,
        }
        self.shell = Shell(folder, variables)
        self.gateway_secrets: list[str] = []
        run_page("README", self.shell, self.happens, self.after)

    def after(self, output: str) -> None:
        """Learn the secrets of what was registered."""
        self.last = output
        self.receiver.secrets = [one["secret"] for one in self.company.see("listeners")] + self.gateway_secrets

    def campaign(self) -> int:
        """The campaign that the page ran."""
        return int(self.shell.value("CAMPAIGN"))

    def run(self, page: str) -> int:
        """Follow a page; how many shell blocks it has. Real time is at the real time."""
        self.begin = len(self.receiver.events)
        if page in REAL_TIME:
            self.company.at(None)
        return run_page(page, self.shell, self.happens, self.after)

    def happens(self, what: str) -> Any:
        """What a comment of a page says; the JSON that comes of it."""
        if what.startswith("event "):
            number = int(what.removeprefix("event "))
            known = self.receiver.events[: self.begin]
            campaign = None if number == 11 else self.campaign()
            return self.receiver.wait(lambda event: of(number, campaign)(event) and event not in known)[0]
        return getattr(self, "_" + what.replace(" ", "_"))()

    def _the_deadline_and_the_send(self) -> None:
        by = datetime.fromisoformat(self.company.see(f"campaigns/{self.campaign()}")["clearance_by"])
        for minutes in (0, 30):
            self.company.pass_to(by + timedelta(minutes=minutes))

    def _the_secret_of_the_gateway(self) -> None:
        self.gateway_secrets = [json.loads(self.last)["secret"]]
        self.after(self.last)

    def _the_event_is_kept(self) -> None:
        event = self.receiver.wait(of(14, self.campaign()))[0]
        self.shell.run(f"EVENT={shlex.quote(json.dumps(event))}")

    def _question(self) -> Any:
        eventually(lambda: self.receiver.questions)
        return self.receiver.questions[-1]

    def _the_firing_is_decided(self) -> None:
        trigger = self.shell.value("TRIGGER")
        eventually(lambda: self.company.see(f"triggers/{trigger}/firings")[0]["outcome"] == "sent")

    def _the_campaign_is_executed(self) -> None:
        eventually(lambda: self.company.see(f"campaigns/{self.campaign()}")["state"] == "successful")

    def _the_metrics_are_filed(self) -> None:
        sql = "SELECT count() FROM campaign_interactions WHERE campaign_id = {c:UInt32}"
        eventually(lambda: self.company.scope.warehouse.value(sql, c=self.campaign()) == 2)


@pytest.fixture(scope="module")
def reader(living: Company, real_time: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with living.hires(Receiver, "Admin") as receiver:
        yield Reader(living, receiver, tmp_path_factory.mktemp("flows"))


@pytest.mark.parametrize("flow", FLOWS)
def test_the_commands_of_a_page(company: Company, reader: Reader, flow: str) -> None:
    assert reader.run(flow) >= 2
    assert reader.receiver.refused == 0


def test_the_index_names_every_page() -> None:
    text = (PAGES / "README.md").read_text()
    assert all(f"[{flow}]({flow}.md)" in text for flow in FLOWS)

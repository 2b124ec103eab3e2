"""The pace at which messages leave for a provider: each stream has its own."""

from datetime import UTC, datetime

import pytest
from name_server import serving

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.messages import Message, Receipt
from rapport.channels.models import Channel
from rapport.delivery.models import Source
from rapport.delivery.pacing import SIGNS, Pace

STREAMS = [(Source.RUN, Source.TRANSACTIONAL), (Source.TRANSACTIONAL, Source.RUN)]
DEFERRED = Receipt("any", "failed", "recipient deferred 451 4.7.1")


@pytest.fixture(scope="module")
def channel(scope: Scope) -> Channel:
    plan = {
        "start_date": datetime.now(UTC).date().isoformat(),
        "rules": [{"domains": ["new.example"], "per_hour": [1]}],
    }
    settings = {"host": "127.0.0.1", "port": 25, "from_address": "shop@example.com", "rate_plan": plan}
    return channels.create_channel(scope, "Paced", "email", settings=settings)


def letter(stream: Source, domain: str, number: int = 0) -> Message:
    return Message(f"{stream} {domain} {number}", "", f"person{number}@{domain}")


@pytest.mark.parametrize(("busy", "other"), STREAMS)
def test_a_provider_that_puts_off_one_stream_gets_the_other(
    scope: Scope, channel: Channel, busy: Source, other: Source
) -> None:
    domain = f"{busy.name.lower()}.example"
    Pace(scope, channel, busy).heard([(domain, DEFERRED)] * SIGNS)
    held, free = letter(busy, domain), letter(other, domain)
    assert held.message_id in Pace(scope, channel, busy).held([held])
    assert Pace(scope, channel, other).held([free]) == {}


def test_what_one_stream_sends_is_not_of_the_quota_of_the_other(scope: Scope, channel: Channel) -> None:
    for stream in (Source.RUN, Source.TRANSACTIONAL):
        letters = [letter(stream, "new.example", number) for number in range(2)]
        assert list(Pace(scope, channel, stream).held(letters)) == [letters[1].message_id]
    firing = letter(Source.FIRING, "new.example")
    assert firing.message_id in Pace(scope, channel, Source.FIRING).held([firing]), "campaigns share theirs"


def test_domains_that_one_provider_hosts_share_its_numbers(scope: Scope) -> None:
    today = datetime.now(UTC).date().isoformat()
    rules: list[dict[str, object]] = [
        {"domains": ["own.example"], "per_hour": [60_000]},
        {"mail_servers": ["Big.Example."], "per_hour": [1]},
    ]
    settings = {
        "host": "127.0.0.1",
        "port": 25,
        "from_address": "shop@example.com",
        "rate_plan": {"start_date": today, "rules": rules},
    }
    channel = channels.create_channel(scope, "Hosted", "email", settings=settings)
    domains = ["hosted1.example", "hosted2.example", "notbig.example", "own.example", "silent.example"]
    with serving() as name_server:
        name_server.records = {
            ("hosted1.example", "MX"): ["10 aspmx.l.big.example."],
            ("hosted2.example", "MX"): ["5 elsewhere.example.", "10 BIG.example."],
            ("notbig.example", "MX"): ["10 mx.notbig.example."],
            ("own.example", "MX"): ["10 mx.big.example."],
        }
        scope.stores.settings.dns_servers = name_server.address
        try:
            letters = [letter(Source.RUN, domain) for domain in domains]
            for _ in range(2):
                held = Pace(scope, channel, Source.RUN).held(letters)
            assert list(held) == [letters[0].message_id, letters[1].message_id]
            asked = [name for name, kind in name_server.asked if kind == "MX"]
            assert sorted(asked) == sorted(set(domains) - {"own.example"}), "each is looked up once, where it matters"
        finally:
            scope.stores.settings.dns_servers = ""

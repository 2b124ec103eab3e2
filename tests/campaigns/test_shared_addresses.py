"""Customers with one address: one message a campaign, one side of a split; who said no is kept off whatever record."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from campaign_mail import Mailbox, mailbox
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    EXTERNAL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    outcomes,
    publish,
    recipients,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import sending, unsubscribing
from rapport.campaigns.delivery.send_tasks import send_unit
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, processing
from rapport.channels import addresses
from rapport.channels import service as channels
from rapport.delivery.models import TakenAddress
from rapport.errors import NotFound
from rapport.messaging import templates
from rapport.messaging.contactability import (
    excluding,
    preferences,
    present_addresses,
    suppressed_addresses,
    suppressions,
)
from rapport.messaging.contactability.kept_off import KeptOff, stand
from rapport.messaging.erasure import forget
from rapport.messaging.models import ExclusionReason

DUE = NOW + timedelta(hours=1)
ALL = {"include_all": True}
TEXTS = 506
NUMBERS = count(1)
SAME, EXCLUDED, LISTED, OPTED_OUT = (
    ("skipped", "same address"),
    ("suppressed", "under an exclusion"),
    ("suppressed", "suppression list"),
    ("suppressed", "channel preference"),
)


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, box: Mailbox) -> Scope:
    with scope.records() as session:
        values = {"campaigns": {"retry_delays": [0], "messages_per_day": 99}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=values))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    publish(scope)
    add_channels(scope, box.port)
    channels.create_channel(scope, "Phones", "external", id=TEXTS, address_attribute="MOBILE_NUMBER")
    add_action(scope)
    return scope


@pytest.fixture(autouse=True)
def fresh(tenant: Scope, box: Mailbox) -> None:
    tenant.clock.set(NOW)
    box.to.clear()


class Company:
    """Some customers of a country of their own, with campaigns to all of them."""

    def __init__(self, scope: Scope, emails: list[str | None], phones: list[str | None] | None = None) -> None:
        self.scope, number = scope, next(NUMBERS)
        self.country = f"Y{number}"
        self.ids = [f"C{number * 1000 + n:05d}" for n in range(len(emails))]
        rows = [customer(number * 1000 + n, COUNTRY=self.country, EMAIL=one) for n, one in enumerate(emails)]
        add_profiles(scope, rows)
        if phones:
            self.set("MOBILE_NUMBER", dict(zip(self.ids, phones, strict=True)))
        self.group = add_group(scope, self.country, self.country)

    def set(self, attribute: str, values: dict[str, str | None]) -> None:
        for who, value in values.items():
            sql = f"ALTER TABLE profiles UPDATE {attribute} = {{v:Nullable(String)}} WHERE customer_id = {{c:String}}"
            self.scope.warehouse.execute(sql, v=value, c=who)

    def process(self, groups: list[Any] | None = None, **more: Any) -> int:
        made = add_series(
            self.scope, self.group, groups or [group(2, (EMAIL, 1))], rules=ALL, **{"control_share": 0.0, **more}
        )
        number = plan_next_run(self.scope, made.id, TODAY)
        processing.prepare_members(self.scope, number, DATA_DATE)
        assert processing.process(self.scope, number, DATA_DATE) in ("scheduled", "successful")
        return number

    def send(self, number: int) -> dict[str, tuple[str, str]]:
        """Outcome and reason on the e-mail channel by customer, after everything was sent and added up."""
        self.scope.clock.set(DUE)
        tasks.execute_due(self.scope)
        self.scope.clock.set(NOW)
        return self.told(number)

    def told(self, number: int, channel: int = EMAIL) -> dict[str, tuple[str, str]]:
        found = occurrences.occurrence(self.scope, number)
        assert found.state == "successful" and found.error.partition(":")[0] in ("", "Nobody was left to write to")
        assert sum(found.counts.values()) == found.targeted
        return {who: (what, why) for who, at, what, why in outcomes(self.scope, number) if at == channel}


def test_a_shared_address_gets_one_mail_of_a_campaign(tenant: Scope, box: Mailbox) -> None:
    company = Company(
        tenant, ["family@example.com", "Family@Example.com", "other@example.com", "<FAMILY@example.com>. "]
    )
    first, second, third, fourth = company.ids
    told = company.send(company.process())
    assert told == {first: ("sent", ""), second: SAME, third: ("sent", ""), fourth: SAME}
    assert dict(box.to) == {"family@example.com": 1, "other@example.com": 1}


def test_punycode_and_letters_are_one_address(tenant: Scope) -> None:
    company = Company(tenant, ["a@xn--mller-kva.example", "A@MÜLLER.example", "a@muller.example"])
    number = company.process()
    told = {who: (what, why) for who, _, what, why in outcomes(tenant, number)}
    assert told == {company.ids[1]: SAME}
    by_hand.cancel(tenant, number)


def test_whoever_cannot_be_reached_leaves_the_address_to_the_next(tenant: Scope) -> None:
    company = Company(tenant, ["pair@example.com", "pair@example.com", "pair@example.com"])
    company.set("ALLOW_EMAIL", {company.ids[0]: "No"})
    told = company.send(company.process())
    assert told == {company.ids[0]: ("suppressed", "no permission"), company.ids[1]: ("sent", ""), company.ids[2]: SAME}


def test_who_unsubscribes_by_link_takes_the_address_along(tenant: Scope, box: Mailbox) -> None:
    company = Company(tenant, ["gone@example.com", "stays@example.com"])
    number = company.process()
    company.send(number)
    mail = next(one for one in box.messages if one["To"] == "gone@example.com")
    token = mail["List-Unsubscribe"].strip("<>").rpartition("/")[2]
    # The record has another address by the time that the link is clicked.
    company.set("EMAIL", {company.ids[0]: "new@example.com"})
    unsubscribing.unsubscribe(*suppressions.read_token(tenant.stores, token))
    later = Company(tenant, ["Gone@EXAMPLE.com", "gone@example.com.", "free@example.com", "new@example.com"])
    box.to.clear()
    told = later.send(later.process())
    assert told == {later.ids[0]: LISTED, later.ids[1]: LISTED, later.ids[2]: ("sent", ""), later.ids[3]: LISTED}
    assert dict(box.to) == {"free@example.com": 1}
    assert company.send(company.process())[company.ids[0]] == LISTED


def test_who_says_no_between_processing_and_sending_keeps_the_address_off(tenant: Scope, box: Mailbox) -> None:
    company = Company(tenant, ["late@example.com", "on@example.com"])
    other = Company(tenant, ["LATE@example.com"])
    number = company.process()
    suppressions.suppress(tenant, other.ids[0], EMAIL, "complaint")
    assert company.send(number) == {company.ids[0]: LISTED, company.ids[1]: ("sent", "")}
    assert set(box.to) == {"on@example.com"}


def test_who_takes_an_address_that_is_kept_off_between_processing_and_sending_gets_nothing(
    tenant: Scope, box: Mailbox
) -> None:
    other = Company(tenant, ["taken@example.com"])
    suppressions.suppress(tenant, other.ids[0], EMAIL, "complaint")
    company = Company(tenant, ["before@example.com", "calm@example.com"])
    number = company.process()
    stood = occurrences.occurrence(tenant, number).plan.kept_off[f"{EMAIL}/1"]
    assert stand(tenant, KeptOff(0, EMAIL), DATA_DATE) == stood
    # As single values are written: without new parts of the whole table.
    taking = "UPDATE profiles SET EMAIL = 'Taken@example.com' WHERE customer_id = {c:String}"
    tenant.warehouse.execute(taking, c=company.ids[0])
    assert stand(tenant, KeptOff(0, EMAIL), DATA_DATE) != stood
    assert company.send(number) == {company.ids[0]: LISTED, company.ids[1]: ("sent", "")}
    assert set(box.to) == {"calm@example.com"}


def test_who_takes_such_an_address_or_says_no_while_batches_leave_gets_nothing(tenant: Scope, box: Mailbox) -> None:
    company = Company(tenant, ["first@example.com", "second@example.com", "third@example.com"])
    number = company.process()
    unit = Unit(occurrences.occurrence(tenant, number), EMAIL, 1)
    assert sending.begin(tenant, unit)
    (last,) = sending.plan_batches(tenant, unit)
    taking = "UPDATE profiles SET EMAIL = 'WANTED@example.com' WHERE customer_id = {c:String}"
    tenant.warehouse.execute(taking, c=company.ids[0])
    suppressions.suppress_addresses(tenant, ["wanted@example.com"], EMAIL, "complaint")
    preferences.set_preference(tenant, EMAIL, [company.ids[1]], 2)
    assert sending.send_batch(tenant, unit, 1, "", last)
    assert set(box.to) == {"third@example.com"}
    told = {who: (what, why) for who, at, what, why in outcomes(tenant, number) if at == EMAIL}
    assert told == {company.ids[0]: LISTED, company.ids[1]: OPTED_OUT, company.ids[2]: ("sent", "")}


TAKING = "UPDATE profiles SET EMAIL = {e:String} WHERE customer_id = {c:String}"


def test_who_takes_an_address_between_processing_and_sending_is_skipped(tenant: Scope, box: Mailbox) -> None:
    company = Company(tenant, ["one@example.com", "two@example.com", "three@example.com", "four@example.com"])
    number = company.process()
    first, second, third, fourth = company.ids
    tenant.warehouse.execute(TAKING, e="ONE@example.com.", c=second)
    tenant.warehouse.execute(TAKING, e="three@example.com", c=fourth)
    tenant.warehouse.execute(TAKING, e="not an address", c=third)
    assert company.send(number) == {
        first: ("sent", ""),
        second: SAME,
        third: ("failed", "not an e-mail address"),
        fourth: ("sent", ""),
    }
    assert dict(box.to) == {"one@example.com": 1, "three@example.com": 1}
    assert not kept(tenant, number)


def kept(tenant: Scope, number: int) -> int:
    """How many addresses are kept as those that a campaign has gone to."""
    with tenant.records() as session:
        wanted = select(func.count()).select_from(TakenAddress)
        return int(
            session.scalar(wanted.where(TakenAddress.tenant_id == tenant.tenant_id, TakenAddress.campaign_id == number))
            or 0
        )


def test_whoever_comes_later_is_skipped_across_batches_and_tries(tenant: Scope, box: Mailbox) -> None:
    company = Company(tenant, ["later-b@example.com", "moved@example.com", "x@example.com", "y@example.com"])
    number = company.process()
    first, second, third, fourth = company.ids
    unit = Unit(occurrences.occurrence(tenant, number), EMAIL, 1)
    assert sending.begin(tenant, unit)
    # One is to be tried again, the other has had it, and is at another address now.
    assert sending.send_batch(tenant, unit, 1, "", second)
    assert dict(box.to) == {"moved@example.com": 1}
    tenant.warehouse.execute(TAKING, e="gone@example.com", c=second)
    tenant.warehouse.execute(TAKING, e="Later-B@example.com", c=third)
    tenant.warehouse.execute(TAKING, e="moved@example.com", c=fourth)
    assert sending.send_batch(tenant, unit, 2, second, fourth)
    assert sending.send_batch(tenant, unit, 2, second, fourth)  # a step may run twice
    assert sending.send_retries(tenant, unit, 1, 1) == 1
    assert dict(box.to) == {"moved@example.com": 1, "later-b@example.com": 1}
    told = {who: (what, why) for who, at, what, why in outcomes(tenant, number) if at == EMAIL}
    assert told == {first: ("sent", ""), second: ("sent", ""), third: SAME, fourth: SAME}


def test_a_message_that_a_kill_interrupted_keeps_its_address(
    tenant: Scope, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Company(tenant, ["killed@example.com", "after@example.com"])
    number = company.process()
    unit = Unit(occurrences.occurrence(tenant, number), EMAIL, 1)
    assert sending.begin(tenant, unit)
    with monkeypatch.context() as dying:
        dying.setattr(sending.ledger, "settle", lambda *given, **more: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sending.send_batch(tenant, unit, 1, "", company.ids[0])
    tenant.warehouse.execute(TAKING, e="killed@example.com", c=company.ids[1])
    box.to.clear()
    assert sending.send_batch(tenant, unit, 2, company.ids[0], company.ids[1])
    assert not box.to
    assert sending.send_batch(tenant, unit, 1, "", company.ids[0])
    assert dict(box.to) == {"killed@example.com": 1}


def test_the_groups_of_a_campaign_go_to_an_address_once_whenever_each_is_sent(tenant: Scope, box: Mailbox) -> None:
    company = Company(tenant, [f"g{n}@example.com" for n in range(12)])
    number = company.process([group(2, (EMAIL, 1), share=0.5), group(2, (EMAIL, 1), share=0.5)])
    sides = {who: side for who, channel, side, *_ in recipients(tenant, number) if channel == EMAIL}
    first = min(who for who, side in sides.items() if side == 1)
    second = min(who for who, side in sides.items() if side == 2)
    send_unit(tenant.tenant_id, number, EMAIL, 1)
    assert box.to[f"g{company.ids.index(first)}@example.com"] == 1 and kept(tenant, number) == sum(box.to.values())
    tenant.warehouse.execute(TAKING, e=f"G{company.ids.index(first)}@example.com", c=second)
    send_unit(tenant.tenant_id, number, EMAIL, 2)
    assert set(box.to.values()) == {1} and len(box.to) == 11
    assert company.told(number)[second] == SAME and not kept(tenant, number)


def test_preferences_are_of_the_address_and_can_be_taken_back(tenant: Scope) -> None:
    company = Company(tenant, ["wish@example.com", "wish@example.com"])
    preferences.set_preference(tenant, EMAIL, [company.ids[1]], 2)
    assert set(company.send(company.process()).values()) == {OPTED_OUT}
    preferences.set_preference(tenant, EMAIL, [company.ids[1]], 1)
    assert company.send(company.process()) == {company.ids[0]: ("sent", ""), company.ids[1]: SAME}


def test_an_address_is_let_in_again_with_all_who_have_it(tenant: Scope) -> None:
    company = Company(tenant, ["back@example.com", "back@example.com"])
    suppressions.suppress(tenant, company.ids[0], EMAIL)
    suppressions.suppress(tenant, company.ids[1], EMAIL)
    suppressions.allow(tenant, company.ids[1], EMAIL)
    assert company.send(company.process()) == {company.ids[0]: ("sent", ""), company.ids[1]: SAME}
    with pytest.raises(NotFound):
        suppressions.allow(tenant, company.ids[0], EMAIL)


def test_an_address_that_somebody_suppressed_has_only_now_is_kept_with_the_day(tenant: Scope) -> None:
    suppressions.suppress(tenant, "not-loaded-yet", EMAIL)
    tenant.warehouse.insert("customers", ["customer_id", "EMAIL"], [["Not-Loaded-Yet", "fresh@example.com"]])
    present_addresses.keep_again(tenant)
    company = Company(tenant, ["fresh@example.com"])
    assert company.send(company.process()) == {company.ids[0]: LISTED}


def test_whoever_has_an_excluded_customers_address_gets_nothing_until_the_end(tenant: Scope) -> None:
    company = Company(tenant, ["player@example.com", "PLAYER@example.com"])
    excluding.exclude(tenant, {company.ids[1]: DUE + timedelta(minutes=1)}, ExclusionReason.TIME_OUT)
    assert set(company.send(company.process()).values()) == {EXCLUDED}
    addresses_of = dict.fromkeys(company.ids, "player@example.com")
    assert preferences.unreachable(tenant, EMAIL, company.ids, addresses=addresses_of).keys() == {*company.ids}
    tenant.clock.set(DUE + timedelta(minutes=1))
    assert preferences.unreachable(tenant, EMAIL, company.ids, addresses=addresses_of) == {}


def test_an_erased_persons_address_stays_suppressed(tenant: Scope) -> None:
    company = Company(tenant, ["erased@example.com", "erased@example.com"])
    suppressions.suppress(tenant, company.ids[0], EMAIL)
    forget(tenant, company.ids[0], [])
    assert company.send(company.process())[company.ids[1]] == LISTED


def test_phone_numbers_of_an_outside_channel_are_addresses_too(tenant: Scope) -> None:
    phones = ["+49 (0)30 1234567", "0049 30 1234567", "+49301234599", None, "+49301234500"]
    company = Company(tenant, [None] * 5, phones)
    other = Company(tenant, [None], ["+49 30 12345-99"])
    suppressions.suppress(tenant, other.ids[0], TEXTS, "complaint")
    number = company.process([group(2, (TEXTS, 1))])
    company.send(number)
    assert company.told(number, TEXTS) == {
        company.ids[0]: ("sent", "listed"),
        company.ids[1]: SAME,
        company.ids[2]: LISTED,
        company.ids[3]: ("no address", ""),
        company.ids[4]: ("sent", "listed"),
    }


def test_numbers_that_were_kept_by_their_digits_alone_still_get_nothing(tenant: Scope) -> None:
    """As suppressions of numbers without a plus were kept before these had the key of those with one."""
    digits = "4917012345678"
    mark = hashlib.sha256((suppressed_addresses.address_secret(tenant) + digits).encode()).hexdigest()[:32]
    sql = """
        INSERT INTO suppressed_addresses (tenant_id, mark, channel_id, app_key, customer_key, listed, added_at)
        SELECT :tenant, mark, :channel, '', 'address:' || mark, 'suppression list', now()
        FROM (SELECT CAST(:mark AS text) AS mark) AS kept
    """
    with tenant.records() as session:
        session.execute(text(sql), {"tenant": tenant.tenant_id, "mark": mark, "channel": TEXTS})
    company = Company(tenant, [None] * 3, ["+49 170 12345678", digits, "+4917012345679"])
    number = company.process([group(2, (TEXTS, 1))])
    company.send(number)
    assert list(company.told(number, TEXTS).values()) == [LISTED, LISTED, ("sent", "listed")]
    assert preferences.unreachable(tenant, TEXTS, ["Somebody"], addresses={"Somebody": "0049170 12345678"})
    assert [entry.channel_id for entry in suppressed_addresses.of_address(tenant, digits)] == [TEXTS]
    suppressions.allow_address(tenant, digits, TEXTS)
    assert not preferences.unreachable(tenant, TEXTS, ["Somebody"], addresses={"Somebody": digits})


EMAILS = st.sampled_from(
    [None, "", "a@example.com", "A@example.com", "b@example.com", "b@example.com ", "c@example.com"]
)
PHONES = st.sampled_from([None, "+491111111", "0049 1111111", "491111111", "+492222222", "+493333333"])


@settings(max_examples=5, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(EMAILS, PHONES), min_size=1, max_size=30), st.booleans())
def test_who_shares_an_address_is_on_one_side_of_every_split(
    tenant: Scope, rows: list[tuple[str | None, str | None]], both: bool
) -> None:
    company = Company(tenant, [email for email, _ in rows], [phone for _, phone in rows])
    places = ((EMAIL, 1), (TEXTS, 2)) if both else ((EMAIL, 1),)
    number = company.process([group(2, *places, share=0.5), group(2, *places, share=0.5)], control_share=0.4)
    sides: dict[str, set[int]] = defaultdict(set)
    sent: dict[tuple[str, int], int] = defaultdict(int)
    for who, channel, side, *_ in recipients(tenant, number):
        email, phone = rows[company.ids.index(who)]
        for address in (email, phone if both else None):
            if key := addresses.address_key(address):
                sides[key].add(side)
        if channel:
            sent[addresses.address_key(email if channel == EMAIL else phone), channel] += 1
    assert all(len(found) == 1 for found in sides.values())
    assert set(sent.values()) <= {1}
    # Somebody who has the address gets it, or would have as control.
    for channel, texts in (
        (EMAIL, [email for email, _ in rows]),
        (TEXTS, [phone for _, phone in rows] if both else []),
    ):
        for key in {addresses.address_key(spelling) for spelling in texts} - {""}:
            assert (key, channel) in sent or sides[key] == {0}
    if occurrences.occurrence(tenant, number).state == "scheduled":
        by_hand.cancel(tenant, number)


def test_a_country_of_external_lists_by_id_shares_nothing(tenant: Scope) -> None:
    company = Company(tenant, ["same@example.com", "same@example.com"])
    number = company.process([group(2, (EXTERNAL, 1))])
    company.send(number)
    assert set(company.told(number, EXTERNAL).values()) == {("sent", "listed")}


ODD = {
    "anna@m\u00fcller.example": ("sent", ""),
    "a@example.com;b@example.com": ("no address", "not an e-mail address"),
    "Anna <anna2@example.com>": ("sent", ""),
    "anna3@example.com.": ("sent", ""),
    "mailto:anna4@example.com": ("sent", ""),
    "anna5@example,com": ("no address", "not an e-mail address"),
    "o'hara@example.com": ("sent", ""),
    "j\u00f6rg@example.com": ("sent", ""),
    "ANNA6@EXAMPLE.COM": ("sent", ""),
    "x@example.com\r\nBcc: y@example.com": ("no address", "not an e-mail address"),
    "\u00a0 n8@example.com\t": ("sent", ""),
    "a@" + "x" * 300 + ".example": ("failed", "not an e-mail address"),
    "bad9@example.com": ("failed", "recipient rejected 550 5.1.1"),
    '"quoted name"@example.com': ("no address", "not an e-mail address"),
    "m\u00fcller@b\u00fccher.example": ("sent", ""),
    "M\u00dcLLER@xn--bcher-kva.example": SAME,
    "\u7528\u6237@\u4f8b\u3048\u3002\u30c6\u30b9\u30c8": ("sent", ""),
    "fa\u00df@stra\u00dfe.example": ("sent", ""),
    "a@\u2603.example": ("failed", "not an e-mail address"),
    "anna7+news@example.com": ("sent", ""),
    "anna7+Shop=1@example.com": ("sent", ""),
    "anna7@example.com": ("sent", ""),
}


def test_addresses_as_people_write_them_are_mended_or_refused_alone(tenant: Scope, box: Mailbox) -> None:
    company = Company(tenant, list(ODD))
    told = company.send(company.process())
    assert told == dict(zip(company.ids, ODD.values(), strict=True))
    assert set(box.to) == {
        "anna@xn--mller-kva.example",
        "anna2@example.com",
        "anna3@example.com",
        "anna4@example.com",
        "o'hara@example.com",
        "j\u00f6rg@example.com",
        "ANNA6@EXAMPLE.COM",
        "n8@example.com",
        "m\u00fcller@xn--bcher-kva.example",
        "\u7528\u6237@xn--r8jz45g.xn--zckzah",
        "fa\u00df@xn--strae-oqa.example",
        "anna7+news@example.com",
        "anna7+Shop=1@example.com",
        "anna7@example.com",
    }


def test_a_server_without_other_letters_takes_the_others_and_nobody_is_suppressed_for_it(tenant: Scope) -> None:
    with mailbox(international=False) as plain:
        settings = {"host": "127.0.0.1", "port": plain.port, "from_address": "shop@example.com"}
        mail = channels.create_channel(tenant, "Plain mail", "email", settings=settings).id
        templates.save_template(tenant, mail, "Hello", "Hi", "<p>Hi</p>", id=1)
        company = Company(tenant, ["m\u00fcller@b\u00fccher.example", "anna@b\u00fccher.example", "b+c@example.com"])
        for _ in range(2):
            number = company.process([group(2, (mail, 1))])
            company.send(number)
            assert list(company.told(number, mail).values()) == [
                ("failed", "recipient rejected 553 5.6.7"),
                ("sent", ""),
                ("sent", ""),
            ]
    assert dict(plain.to) == {"anna@xn--bcher-kva.example": 2, "b+c@example.com": 2}


def test_one_who_cannot_be_written_to_ends_nobody_else(tenant: Scope, box: Mailbox) -> None:
    company = Company(tenant, [f"p{n}@example.com" for n in range(4)])
    company.set("FIRST_NAME", {company.ids[1]: "\x00\u202e", company.ids[2]: "A" * 100_000})
    tenant.warehouse.execute(
        "ALTER TABLE profiles UPDATE FIRST_NAME = unhex('41FF42') WHERE customer_id = {c:String}", c=company.ids[3]
    )
    assert set(company.send(company.process()).values()) == {("sent", "")}
    assert len(box.to) == 4


def test_an_address_that_a_mail_server_does_not_have_has_bounced(tenant: Scope, box: Mailbox) -> None:
    company = Company(tenant, ["bad-mailbox@example.com", "later-mailbox@example.com", "well@example.com"])
    box.refusals = 99
    told = company.send(company.process())
    box.refusals = 1
    assert [what for what, _ in told.values()] == ["failed", "failed", "sent"]
    other = Company(tenant, ["Bad-Mailbox@EXAMPLE.com", "later-mailbox@example.com"])
    told = other.send(other.process())
    assert told == {other.ids[0]: LISTED, other.ids[1]: ("sent", "")}

"""Customers of every kind, with wishes and histories drawn by a seed; and what each of the two ways decides of them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import trigger_world as world

from rapport.access.scope import Scope
from rapport.access.service import update_tenant
from rapport.apps import definitions as app_definitions
from rapport.apps.models import Install
from rapport.audiences import groups as audience_groups
from rapport.audiences import membership
from rapport.campaigns.runs import by_hand, processing
from rapport.campaigns.schemas import OneTimeBody
from rapport.campaigns.states import ChannelChoice
from rapport.campaigns.triggered import definitions, runs
from rapport.channels import service as channels
from rapport.customers import attributes, consent_marks
from rapport.customers.attributes import AttributeInfo
from rapport.messaging import registration, templates
from rapport.messaging.contactability import excluding, preferences, suppressions
from rapport.messaging.contactability import rules as rules_of
from rapport.messaging.models import EVERY_CHANNEL, ExclusionReason, WishSource
from rapport.messaging.registration import Registered
from rapport.messaging.topics import brand_groups, subscriptions, topics
from rapport.messaging.topics.topics import TopicContent
from rapport.realtime.matching.background import Background
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import compiled
from rapport.realtime.matching.deciding import decided
from rapport.realtime.matching.eligibility import eligibility

TEXT, PUSH, MAIL, PHONE, NUMBERED, DEVICE = 505, 506, 504, 507, 508, 509
PLAIN, OF_APP = world.TEMPLATE, 12
# Of a topic that everybody gets who has not left it, of one that must be chosen, and of one that nobody can leave.
OF_TOPIC, OF_CHOSEN_TOPIC, OF_MANDATORY_TOPIC = 13, 14, 15
WIRE_MAIL, WIRE_PHONE = 15, 493
TODAY = date(2026, 3, 14)
PEOPLE = 48
CONSENTS = [
    None,
    None,
    None,
    None,
    "",
    "Yes",
    "yes!",
    "1",
    "No",
    "nein",
    "perhaps",
    "\u200b",
    "\u00a0",
    "\u2713",
    "0.0",
]
FLAGS = [None] * 60 + ["", "No", "nee", "0", "\u00a0", "Yes", "ja", "optout", "n/a", "1"]
ODD_MAIL = [None, "", " ", "\t", "\u00a0", "\u200b", ".", "nobody", "a@b@example.com", "two words@example.com"]
ODD_PHONE = [None, "", " ", "\t\n", "\u00a0", "\ufeff", "\u2003"]
Verdict = dict[int, tuple[str, str]]
ELSEWHERE = rules_of.ELSEWHERE.outcome_and_reason()


def made(scope: Scope) -> Scope:
    """The tenant of all examples: channels of every kind, a hold-out, two excluded groups, attributes of its own."""
    world.fill(scope, [{"customer_id": "somebody"}])
    world.channel(scope, PUSH, "Push")
    mail = {"host": "127.0.0.1", "port": 25, "from_address": "shop@example.com"}
    channels.create_channel(scope, "Mail", "email", id=MAIL, settings=mail)
    channels.create_channel(
        scope, "Phone", "external", id=PHONE, address_attribute="MOBILE_NUMBER", permission_attribute="ALLOW_SMS"
    )
    own = [("Left_By_Wish", "Nvarchar"), ("Calls_To", "Bigint")]
    attributes.declare(scope, [AttributeInfo(name, name, "", kind, "batch") for name, kind in own])
    consent_marks.mark(scope, "Left_By_Wish", "blocked")
    channels.create_channel(scope, "Calls", "external", id=NUMBERED, address_attribute="Calls_To")
    channels.create_channel(scope, "In the app", "in_app", id=DEVICE, settings={})
    templates.save_template(scope, DEVICE, "Offer", id=PLAIN, details={"content": {"say": "Offer"}})
    app_definitions.create_app(scope, "App", {}, for_web=False)
    for number in (MAIL, PHONE, NUMBERED):
        templates.save_template(scope, number, "Offer", id=PLAIN, subject="Offer", html="<p>Offer</p>")
    registration.register_apps(scope, PUSH, {"App-1": "App"})
    registration.register_templates(scope, PUSH, [Registered(OF_APP, "Of the app", "App-1")])
    add_topics(scope)
    for country in ("XA", "XB"):
        definition = {"attribute": "COUNTRY", "operator": "equals", "value": country}
        audience_groups.create_target_group(scope, f"Excluded {country}", definition)
    return update_tenant(
        scope, {"settings": {"campaigns": {"hold_out": {"share": 0.15, "start_date": "2026-03-11", "salt": "rules"}}}}
    )


def add_topics(scope: Scope) -> None:
    """Topics of a brand group on Mail and Phone, each with a template on both."""
    group = brand_groups.create_brand_group(scope, "Shop", {WIRE_MAIL: [MAIL], WIRE_PHONE: [PHONE]})
    contents = {
        OF_TOPIC: TopicContent("Offers"),
        OF_CHOSEN_TOPIC: TopicContent("News", subscribed_by_default=False),
        OF_MANDATORY_TOPIC: TopicContent("Notices", mandatory=True),
    }
    for template_id, content in contents.items():
        topic = topics.create_topic(scope, group.id, content)
        for number in (MAIL, PHONE):
            templates.save_template(
                scope, number, content.name, id=template_id, subject=content.name, html="<p>Offer</p>"
            )
        topics.set_templates(scope, topic.id, [(MAIL, template_id), (PHONE, template_id)])


class People:
    """Customers of one seed, which names them; drawn by it, or by another source of chance."""

    def __init__(self, scope: Scope, seed: int, random: Random | None = None) -> None:
        self.scope, self.seed, self.random = scope, seed, random or Random(seed)
        # Sources of their own, which leave the other draws as they are.
        self.of_topics, self.of_exclusions = Random(f"topics {seed}"), Random(f"exclusions {seed}")
        self.ids = [f"S{seed}P{n}" for n in range(PEOPLE)]
        world.add_customers(scope, [self._attributes(one) for one in self.ids])
        self._install()
        self.ids.append(f"S{seed}Nobody")
        for _ in range(30):
            self.wish()
        self.exclude()

    def _attributes(self, customer_id: str) -> dict[str, Any]:
        pick = self.random.choice
        family = f"family{self.random.randrange(6)}of{self.seed}"
        phone = f"{self.seed:03}{self.random.randrange(8)}0123"
        mail = [f"{customer_id}@example.com", f"Jo <{family}@example.com>", f"{family.upper()}@Example.com."]
        return {
            "customer_id": customer_id,
            "EMAIL": pick([*mail, *mail, *mail, f"{family}@xn--mller-kva.example", pick(ODD_MAIL)]),
            "MOBILE_NUMBER": pick([f"+49170{phone}", f"0049 170 {phone}", f"49170{phone}.0", pick(ODD_PHONE)]),
            "Calls_To": pick([None, 0, int(f"49171{phone}"), int(f"49172{phone}")]),
            "COUNTRY": pick(["XA", "XB", *["NL"] * 8]),
            "ALLOW_EMAIL": pick(CONSENTS),
            "ALLOW_SMS": pick(CONSENTS),
            **{name: pick(FLAGS) for name in ("IS_TEST", "IS_BLOCKED", "IS_OPTIN", "Left_By_Wish")},
        }

    def _install(self) -> None:
        """Some have the app, of whom some have agreed to messages in it."""
        now, pick = self.scope.clock.now(), self.of_topics.choice
        with self.scope.records() as session:
            for customer_id in self.ids:
                if consent := pick(["", "yes", "yes", "no", "unsaid"]):
                    install = Install(
                        tenant_id=self.scope.tenant_id,
                        app_id=1,
                        install_id=f"install of {customer_id}",
                        customer_id=customer_id,
                        person=customer_id.lower(),
                        in_app_consent={"yes": True, "no": False}.get(consent),
                        created_at=now,
                        seen_at=now,
                    )
                    session.add(install)

    def some(self, share: float) -> list[str]:
        """Some of the customers, in any spelling."""
        chosen = [one for one in self.ids if self.random.random() < share]
        return [self.random.choice([one, one.lower(), one.upper()]) for one in chosen]

    def wish(self) -> None:
        """Somebody, or an address, says no on a channel or on all; or yes again."""
        who, channel = self.random.choice(self.ids), self.random.choice([TEXT, PUSH, MAIL, PHONE, NUMBERED])
        family = f"family{self.random.randrange(6)}of{self.seed}@example.com"
        kind = self.random.randrange(5)
        if kind == 0:
            suppressions.suppress(self.scope, who, self.random.choice([channel, channel, EVERY_CHANNEL]))
        elif kind == 1:
            preferences.set_preference(self.scope, channel, [who.upper()], self.random.choice([2, 2, 1]))
        elif kind == 2:
            preferences.set_preference(self.scope, PUSH, [who], 2, "app-1")
        elif kind == 3:
            suppressions.suppress_addresses(self.scope, [family], self.random.choice([MAIL, EVERY_CHANNEL]))
        else:
            preferences.set_preference(self.scope, MAIL, [who], 2)
        self.choose()

    def exclude(self) -> None:
        """One is excluded for good, one until a day after all examples, and one was until the exclusion was lifted."""
        for_good, for_days, lifted = self.of_exclusions.sample(self.ids, 3)
        later = datetime.combine(TODAY + timedelta(days=9), datetime.min.time(), UTC)
        ends = {for_good.upper(): None, for_days: later, lifted: None}
        excluding.exclude(self.scope, ends, ExclusionReason.OTHER)
        excluding.lift(self.scope, lifted)

    def choose(self) -> None:
        """Somebody chooses the channels of a topic, or leaves it."""
        [group] = brand_groups.brand_groups(self.scope)
        pick, who = self.of_topics.choice, self.of_topics.choice(self.ids).upper()
        free = [topic for topic in topics.topics(self.scope, group.id) if not topic.mandatory]
        chosen = {pick(free).id: pick([[], [WIRE_MAIL], [WIRE_MAIL, WIRE_PHONE]])}
        subscriptions.set_subscriptions(self.scope, group.id, who, chosen, WishSource.SDK)

    def groups(self) -> list[dict[str, Any]]:
        """One recipient group on some of the channels."""
        number = self.random.randint(1, 5)
        used = sorted(self.random.sample([TEXT, PUSH, MAIL, PHONE, NUMBERED], number))
        if self.of_topics.random() < 0.5:
            used.append(DEVICE)
        of_topics = [PLAIN, PLAIN, OF_TOPIC, OF_CHOSEN_TOPIC, OF_MANDATORY_TOPIC]
        template = {PUSH: OF_APP} | {number: self.of_topics.choice(of_topics) for number in (MAIL, PHONE)}
        self.of_topics.shuffle(used)
        return [{"channel_id": one, "template_id": template.get(one, PLAIN)} for one in used]

    def choice(self) -> str:
        """Whether a group reaches everybody on all its channels, or on the first."""
        return self.of_topics.choice([*ChannelChoice])

    def rules(self) -> dict[str, Any]:
        """Rules of a campaign."""
        cap = {"messages": self.random.randint(1, 3), "days": self.random.randint(1, 4)}
        return {
            "include_all": self.random.random() < 0.6,
            "exclude_target_group_ids": self.random.choice([[], [1], [2, 1]]),
            "frequency_cap": self.random.choice([None, cap]),
        }


def run(
    scope: Scope,
    ids: Sequence[str],
    places: list[dict[str, Any]],
    rules: dict[str, Any],
    day: date,
    control_share: float = 0,
    choice: str = ChannelChoice.ALL,
) -> int:
    """Process a campaign of a day to a list of customers; its number."""
    scope.clock.set(datetime.combine(day - timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=9))
    body = {"name": "A list", "customer_ids": list(ids), "action_id": 2, "channels": places, "rules": rules}
    body |= {"control_share": control_share, "channel_choice": choice}
    planned = by_hand.one_time(scope, OneTimeBody.model_validate({**body, "execution_date": day.isoformat()}))
    scope.clock.set(scope.clock.now() + timedelta(days=1))
    processing.prepare_members(scope, planned.id, world.DATA_DATE)
    processing.process(scope, planned.id, world.DATA_DATE)
    return planned.id


def fire(scope: Scope, people: People, day: date) -> None:
    """Let a trigger fire on a day for some customers, and its firings be in the accounts."""
    minutes = (day - world.NOW.date()).days * 24 * 60
    series = world.trigger(scope)
    for one in people.some(0.3):
        world.event(scope, "add_to_cart", one, minutes)
    world.process(scope, minutes)
    world.file(scope)
    definitions.set_triggered_status(scope, series.id, "archived")


def of_run(scope: Scope, number: int) -> dict[str, Verdict]:
    """What became of the customers of a run, by lower-case id and channel; 0 for what keeps out of the whole."""
    bound = {"number": number}
    ended = "SELECT customer_id, channel_id, outcome, reason FROM campaign_outcomes WHERE campaign_id = {number:UInt32}"
    listed = "SELECT customer_id, channel_id FROM campaign_recipients WHERE campaign_id = {number:UInt32}"
    found: dict[str, Verdict] = defaultdict(dict)
    for who, channel, outcome, reason in scope.warehouse.rows(ended, **bound):
        # Who of an address gets the message is settled after the rules: of a trigger, whoever comes first.
        shares = (outcome, reason) == ("skipped", "same address")
        found[who.lower()][channel] = ("", "") if shares else (outcome, reason)
    for who, channel in scope.warehouse.rows(listed, **bound):
        found[who.lower()][channel] = ("", "")
    return dict(found)


def in_real_time(
    scope: Scope,
    ids: Sequence[str],
    places: list[dict[str, Any]],
    rules: dict[str, Any],
    choice: str = ChannelChoice.ALL,
) -> dict[str, Verdict]:
    """The same of a trigger that all of them would meet now, while somebody meets another one on more channels."""
    group = {"action_id": 2, "channels": places, "channel_choice": choice}
    series = world.trigger(scope, groups=[group], rules=rules)
    all_places = [{"channel_id": one, "template_id": PLAIN} for one in (TEXT, PUSH, MAIL, PHONE, NUMBERED, DEVICE)]
    beside = world.trigger(scope, groups=[{"action_id": 2, "channels": all_places}])
    for group_id in rules["exclude_target_group_ids"]:
        membership.compute_members(scope, group_id, world.DATA_DATE)
    catalogue, campaign = compiled(scope, [series, beside]), runs.planned_day(scope, series)
    some = [Candidate(catalogue.triggers[series.id], one.lower(), one, False, one, {}) for one in ids]
    found: dict[str, Verdict] = {}
    with scope.records() as session:
        other = Candidate(catalogue.triggers[beside.id], "somebody", "somebody", False, "beside", {})
        background = Background.of(session, catalogue, [*some, other], scope.clock.now())
        background.count(session, some)
        for one in some:
            decision = decided(one, campaign, background)
            faults = background.faults(one, campaign.plan.groups[0])
            channels_of = {place["channel_id"]: faults.get(place["channel_id"], ("", "")) for place in places}
            found[one.person] = channels_of if decision.group else {0: (decision.outcome, decision.reason)}
    for one in (series, beside):
        definitions.set_triggered_status(scope, one.id, "archived")
    return found


def of_channel(verdict: Verdict, channel_id: int) -> list[tuple[str, str]]:
    """What may be answered of a channel alone: what keeps out of the whole, or what is said of it. That another channel
    comes first says nothing of it.
    """
    whole = [verdict[0]] if 0 in verdict else []
    of_it = verdict.get(channel_id, ("", ""))
    return [*whole, ("", "") if of_it == ELSEWHERE else of_it]


def asked(
    scope: Scope, ids: Sequence[str], places: list[dict[str, Any]], rules: dict[str, Any], **more: Any
) -> dict[str, dict[int, tuple[str, str]]]:
    """What is answered of single customers, by lower-case id and channel, of a trigger with the rules and more."""
    series = world.trigger(scope, groups=[{"action_id": 2, "channels": places}], rules=rules, **more)
    found = {
        one.lower(): {place["channel_id"]: eligibility(scope, one, place["channel_id"], series.id) for place in places}
        for one in ids
    }
    definitions.set_triggered_status(scope, series.id, "archived")
    return {
        one: {channel: (said.outcome, said.reason) for channel, said in answers.items()}
        for one, answers in found.items()
    }

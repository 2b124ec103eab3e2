"""Random streams of events against a plain model of what the pages on triggers and events promise.

The model keeps whole lists of events and goes through them from the beginning at each moment; it shares nothing with
what it is compared to. Every firing has to be the same, to outcome, reason and moment.

One stream by default; RAPPORT_SEEDS names others (3,5,12 before a release).
"""

import os
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
import trigger_world as world
from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.customers import event_types
from rapport.messaging.contactability import suppressions
from rapport.realtime.matching import releasing
from rapport.realtime.models import Firing
from rapport.realtime.states import FiringState
from rapport.stores import Stores

SEEDS = [int(seed) for seed in os.environ.get("RAPPORT_SEEDS", "5").split(",")]
MINUTES = 150
PEOPLE = [f"S{n}" for n in range(10)]
OPTED_OUT, STRANGER = "S9", "Nobody-1"
NO_SMS = "S8"  # is on the suppression list of that channel
REFUSED = {"s0", "s3", "s7", "v:Device2"}  # by the gateway
NOT_ALLOWED = "gateway: not allowed"
DEVICES = [f"Device{n}" for n in range(6)]
# Visitors that are merged with another: with one who is known some time, by way of another, with one whom nobody knows.
TWINS = {"Twin0": "Device1", "Twin1": "Twin0", "Twin2": "Device2", "Twin3": "Device5"}
# Visitors with stories of their own, and the customers that some of them turn out to be, who do nothing else.
WISHERS = [f"Wisher{n}" for n in range(5)]
FOUND_OUT = {"Wisher0": "L0", "Wisher1": "L1", "Wisher2": "L2"}
GRACE = 2 / 60  # minutes that a closing event may be under way
QUIET = (60, 100)  # minutes after 10:00 in Berlin: 11:00 to 11:40
HOURS = {"start": "11:00", "end": "11:40"}
OVER = {"attribute": "amount", "operator": "greater", "value": 50}
CART = {
    "kind": "sequence",
    "event": "add_to_cart",
    "closing": [{"event": "purchase"}],
    "restart": [{"event": "page_view", "conditions": OVER}],
}


# Events of their own, told late: the stories below say when it is over.
WISH, TOO_LATE = 12, 15
WISHES = {
    "kind": "sequence",
    "event": "wish",
    "closing": [{"event": "wish_fulfilled"}],
    "restart": [{"event": "wish_seen"}],
    "window_minutes": WISH,
}
# What somebody does in minutes from its beginning, with how late each is told, and when a sequence ends that nobody
# closes: None when none does. What is told after its deadline was handled is too late to close it.
Story = tuple[list[tuple[str, float, float]], float | None]
STORIES: dict[str, Story] = {
    "nothing more": ([("wish", 0, 0)], WISH),
    "closed": ([("wish", 0, 0), ("wish_fulfilled", 5, 0)], None),
    "closed, told late": ([("wish", 0, 0), ("wish_fulfilled", 5, 4)], None),
    "closed after it": ([("wish", 0, 0), ("wish_fulfilled", WISH + 1, 0)], WISH),
    "told late": ([("wish", 0, 9)], WISH),
    "told after its window": ([("wish", 0, 14)], WISH),
    "told too late": ([("wish", 0, 20)], None),
    "closed before it is told": ([("wish", 0, 10), ("wish_fulfilled", 5, 0)], None),
    "closed by what comes too late for all else": (
        [("wish", 0, 0), ("wish_seen", 10, 0), ("wish_seen", 20, 0), ("wish_fulfilled", 5, 17)],
        None,
    ),
    "moved on": ([("wish", 0, 0), ("wish_seen", 6, 0)], 6 + WISH),
    "moved on, told late": ([("wish", 0, 0), ("wish_seen", 6, 5)], 6 + WISH),
    "moved on before it is told": ([("wish", 0, 11), ("wish_seen", 1, 0)], WISH),
    "moved on too late": ([("wish", 0, 0), ("wish_seen", 1, 0), ("wish_seen", 11, 16)], 1 + WISH),
    "begun earlier than it seemed": ([("wish", 0, 7), ("wish", 4, 0)], WISH),
    "begun again after its end": ([("wish", 0, 0), ("wish_fulfilled", 3, 0), ("wish", 4, 2)], 4 + WISH),
}
APART = 2 * WISH + 24  # minutes from one story of a person to its next


def cap(messages: int) -> dict[str, Any]:
    return {"frequency_cap": {"messages": messages, "days": 1}}


BOTH = (world.SMS, world.PUSH)
# times: how often one person may have it in these hours.
TRIGGERS: list[dict[str, Any]] = [
    {"kind": {"kind": "simple", "event": "level_up", "conditions": OVER}, "times": 2},
    {"kind": {"kind": "simple", "event": "level_up"}, "rules": cap(3)},
    {"kind": {"kind": "repeated", "event": "level_up", "times": 2, "window_minutes": 15}},
    {"kind": {**CART, "window_minutes": 20}},
    {"kind": {**CART, "window_minutes": 7}, "visitors": True},
    {"kind": {"kind": "simple", "event": "purchase"}, "visitors": True, "times": 1},
    {"kind": {"kind": "simple", "event": "purchase"}, "rules": cap(4), "quiet_hours": {**HOURS, "then": "delay"}},
    {"kind": {"kind": "simple", "event": "page_view"}, "quiet_hours": {**HOURS, "then": "skip"}, "late_minutes": 10},
    {"kind": WISHES, "late_minutes": TOO_LATE, "visitors": True},
    {"kind": {"kind": "simple", "event": "level_up"}, "rules": cap(5), "channels": BOTH},
    {"kind": {"kind": "simple", "event": "purchase"}, "visitors": True, "times": 3, "control_share": 0.4},
    {
        "kind": {"kind": "simple", "event": "level_up"},
        "rules": cap(7),
        "quiet_hours": {**HOURS, "then": "delay"},
        "channels": BOTH,
        "control_share": 0.3,
    },
    {"kind": {"kind": "simple", "event": "level_up"}, "times": 3, "conditional": True, "channels": BOTH},
    {
        "kind": {"kind": "simple", "event": "purchase"},
        "rules": cap(8),
        "quiet_hours": {**HOURS, "then": "delay"},
        "conditional": True,
        "visitors": True,
    },
]
WISHING = next(number for number, trigger in enumerate(TRIGGERS) if trigger["kind"] is WISHES)
Fired = tuple[int, str, str, str, int]  # trigger, person, outcome, reason, moment


@dataclass(frozen=True)
class Said:
    """An event: minutes after the beginning, when it is received, of whom."""

    at: float
    received: float
    name: str
    customer: str
    device: str
    amount: Any


@dataclass
class Model:
    """What has arrived, and what came of it. People are customers in lower case, or v: and the device."""

    owners: dict[str, list[tuple[float, str]]]
    # Since when merged visitors are known, by visitor.
    known: dict[str, float]
    # When sequences of stories end and their first event is told, by person.
    told: list[tuple[float, float, str]]
    # On which side the hash drew somebody: this alone is taken from what is compared.
    control: dict[tuple[int, str], bool]
    now: float = 0
    before: float = 0
    arrived: list[Said] = field(default_factory=list)
    ended: dict[int, set[Said]] = field(default_factory=lambda: defaultdict(set))
    # Of sequences: events that came to nothing or are past, and until when what somebody did is over.
    spent: dict[int, set[Said]] = field(default_factory=lambda: defaultdict(set))
    over: dict[int, list[tuple[str, float]]] = field(default_factory=lambda: defaultdict(list))
    fired: list[Fired] = field(default_factory=list)
    kept: set[tuple[int, str, str, str]] = field(default_factory=set)
    had: list[tuple[int, str]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    waiting: list[tuple[int, str, int]] = field(default_factory=list)
    asking: list[tuple[int, str, int]] = field(default_factory=list)
    drawn: list[tuple[int, str, bool]] = field(default_factory=list)

    def person(self, one: Said) -> str:
        """Whom an event is about, as far as it is known now."""
        if one.customer:
            return one.customer.lower()
        told = self.told_of(one.device)
        if not told:
            return f"v:{one.device}"
        before = [who for since, who in told if since <= one.at]
        return (before[-1] if before else told[0][1]).lower()

    def now_is(self, person: str) -> str:
        """Who a person turned out to be: a device whoever it was first."""
        if person.startswith("v:"):
            told = self.told_of(person[2:])
            return told[0][1].lower() if told else person
        return person

    def told_of(self, device: str) -> list[tuple[float, str]]:
        """Who a device is known to have been, since when each."""
        if self.now < self.known.get(device, 0):
            return []
        return sorted((since, who) for since, who in self.owners.get(device, []) if since <= self.now)

    def step(self, now: float, new: list[Said]) -> None:
        """A moment at which events are handled, and what is due after them."""
        self.settle()
        self.before, self.now = self.now, now
        for one in sorted(new, key=lambda one: one.at):
            self.arrived.append(one)
            for number, trigger in enumerate(TRIGGERS):
                if self.meets(number, trigger, one):
                    self.decide(number, trigger, self.person(one))
        for number, trigger in enumerate(TRIGGERS):
            if number == WISHING:
                self.wish(trigger)
            elif trigger["kind"]["kind"] == "sequence":
                self.end(number, trigger)
        if self.now >= QUIET[1]:
            self.resume()

    def meets(self, number: int, trigger: dict[str, Any], one: Said) -> bool:
        """Whether an event makes a trigger that needs no deadline go out."""
        kind = trigger["kind"]
        if kind["kind"] == "sequence" or one.name != kind["event"] or not passes(kind, one):
            return False
        if one.received - one.at > trigger.get("late_minutes", 60):
            return False
        return kind["kind"] == "simple" or self.counts(number, kind, one)

    def counts(self, number: int, kind: dict[str, Any], one: Said) -> bool:
        """Whether an event is the last that a repeated trigger wanted; what is used up counts no more."""
        used = self.ended[number]
        mine = [each for each in self.arrived if each.name == kind["event"] and self.same(each, one)]
        mine = [each for each in mine if each.received - each.at <= 60]
        border = max((each.at for each in mine if each in used), default=float("-inf"))
        open_ = [each for each in mine if each not in used and each.at >= border]
        newest = max((each.at for each in open_), default=float("-inf"))
        counted = [each for each in open_ if each.at >= newest - kind["window_minutes"]]
        if one not in counted or len(counted) < kind["times"]:
            return False
        used.update(open_)
        return True

    def same(self, one: Said, other: Said) -> bool:
        return self.person(one) == self.person(other)

    def end(self, number: int, trigger: dict[str, Any]) -> None:
        """Go through all that everybody did, and fire for what has ended since the last moment.

        Who somebody turns out to be makes nothing of what was over before, nor of what came to nothing.
        """
        of: dict[str, list[Said]] = defaultdict(list)
        for one in self.arrived:
            if one not in self.spent[number]:
                of[self.person(one)].append(one)
        due = []
        for person, events in of.items():
            over = max((at for one, at in self.over[number] if self.now_is(one) == person), default=float("-inf"))
            found, spent = sessions(trigger["kind"], sorted(events, key=lambda one: one.at), over)
            ended = [deadline for deadline in found if deadline <= self.now - GRACE]
            due += [(deadline, person) for deadline in ended]
            past = [one for one in events if one.name != "purchase" and one.at <= max(ended, default=float("-inf"))]
            self.spent[number].update(spent, past)
        for deadline, person in sorted(due):
            if trigger.get("visitors") or not person.startswith("v:"):
                self.over[number].append((person, deadline))
                self.decide(number, trigger, person)

    def wish(self, trigger: dict[str, Any]) -> None:
        """Fire for what has ended of the stories."""
        for end, told, person in sorted(self.told):
            if self.before < max(end + GRACE, told) <= self.now:
                self.decide(WISHING, trigger, self.now_is(person))

    def decide(self, number: int, trigger: dict[str, Any], person: str) -> None:
        """The rules, in their order."""
        visitors = trigger.get("visitors", False)
        if person.startswith("v:") and not visitors:
            return
        rules = trigger.get("rules", {}).get("frequency_cap")
        hours = trigger.get("quiet_hours")
        quiet = hours is not None and QUIET[0] <= self.now < QUIET[1]
        entries = sum(n == number and self.now_is(one) == person for n, one in self.had)
        limit = trigger.get("times", 999)
        if person == STRANGER.lower() and not visitors:
            self.keep(number, person, "excluded", "unknown customer")
        elif person == OPTED_OUT.lower():
            self.keep(number, person, "excluded", "opted out")
        elif entries >= limit:
            self.keep(number, person, "excluded", "fired before")
        elif rules and self.messages(person, [*self.waiting, *self.asking]) >= rules["messages"]:
            self.keep(number, person, "capped", "")
        elif not reached(number, person):
            self.keep(number, person, "suppressed", "suppression list")
        elif quiet and hours["then"] == "skip":
            self.keep(number, person, "skipped", "quiet hours")
        else:
            self.had.append((number, person))
            self.drawn.append((number, person, self.is_control(number, person)))
            if quiet:
                self.waiting.append((number, person, moment(self.now)))
            else:
                self.go(number, person, moment(self.now))

    def messages(self, person: str, waiting: list[tuple[int, str, int]]) -> int:
        """What somebody had, and one each of what waits or was held back."""
        has = [*self.sent, *(one for _, one, _ in waiting)]
        return sum(self.now_is(one) == self.now_is(person) for one in has)

    def is_control(self, number: int, person: str) -> bool:
        """Whoever had it as a visitor stays on that side."""
        if not TRIGGERS[number].get("control_share"):
            return False
        as_visitor = (
            side
            for n, one, side in self.drawn
            if n == number and one.startswith("v:") and person != one and self.now_is(one) == person
        )
        return next(as_visitor, self.control.get((number, person), False))

    def go(self, number: int, person: str, at: int) -> None:
        """What is held back by nothing but the gateway."""
        if self.is_control(number, person):
            self.sent.append(person)
            self.fired.append((number, person, "control", "", at))
        elif TRIGGERS[number].get("conditional"):
            self.asking.append((number, person, at))
        else:
            self.send(number, person, at)

    def settle(self) -> None:
        """The gateway's verdicts on what it was asked about until now."""
        asking, self.asking = self.asking, []
        for number, person, at in asking:
            kept = ("excluded", NOT_ALLOWED) if person in REFUSED else kept_out(number, self.now_is(person))
            if kept[0]:
                self.had.remove((number, person))
                self.fired.append((number, person, *kept, at))
            else:
                self.send(number, person, at)

    def keep(self, number: int, person: str, outcome: str, reason: str) -> None:
        """Whoever is kept out has one firing a day and reason."""
        if (number, person, outcome, reason) not in self.kept:
            self.kept.add((number, person, outcome, reason))
            self.fired.append((number, person, outcome, reason, moment(self.now)))

    def send(self, number: int, person: str, at: int) -> None:
        self.sent.extend([person] * reached(number, self.now_is(person)))
        self.fired.append((number, person, "sent", "", at))

    def resume(self) -> None:
        """What waited for the end of quiet hours: flags, the cap and the channels are looked at again."""
        waiting, self.waiting = self.waiting, []
        for number, person, at in waiting:
            rules = TRIGGERS[number].get("rules", {}).get("frequency_cap")
            kept = kept_out(number, self.now_is(person))
            if kept[0] != "excluded" and rules and self.messages(person, self.asking) >= rules["messages"]:
                kept = ("capped", "")
            if kept[0]:
                self.had.remove((number, person))
                self.fired.append((number, person, *kept, at))
            else:
                self.go(number, person, at)


def kept_out(number: int, person: str) -> tuple[str, str]:
    """Why nothing may go to somebody who waited, as outcome and reason."""
    if person == OPTED_OUT.lower():
        return "excluded", "opted out"
    return ("", "") if reached(number, person) else ("suppressed", "suppression list")


def reached(number: int, person: str) -> int:
    """On how many channels of a trigger somebody is reached."""
    used = TRIGGERS[number].get("channels", (world.SMS,))
    return sum(person != NO_SMS.lower() or channel != world.SMS for channel in used)


def moment(now: float) -> int:
    return round(now * 60)


def passes(match: dict[str, Any], one: Said) -> bool:
    if "conditions" not in match:
        return True
    return isinstance(one.amount, int) and one.amount > 50


def sessions(kind: dict[str, Any], events: list[Said], over: float) -> tuple[list[float], list[Said]]:
    """The deadlines of one person's sequences without a closing event, and the events that came to nothing.

    What was done until a window was over opens nothing.
    """
    found, spent, is_open, deadline = list[float](), list[Said](), False, 0.0
    for one in events:
        if is_open and one.at > deadline:
            found.append(deadline)
            is_open = False
        if one.name == "purchase":
            is_open = False
        elif one.name == "page_view" and passes(kind["restart"][0], one) and is_open:
            deadline = one.at + kind["window_minutes"]
        elif one.name == "add_to_cart" and not is_open and one.at > over:
            is_open, deadline = True, one.at + kind["window_minutes"]
        else:
            spent.append(one)
    return found + [deadline] * is_open, spent


Owned = dict[str, list[tuple[float, str]]]


def streams(chance: Random) -> tuple[list[float], list[Said], Owned, dict[str, float]]:
    """Moments at which events are handled, events, whose devices are since when, and when visitors are merged."""
    moments = [0.5]
    while moments[-1] < MINUTES:
        moments.append(moments[-1] + chance.choice([0.5, 1, 2, 5, 9]))
    owners = {device: [(chance.uniform(10, MINUTES), chance.choice(PEOPLE))] for device in DEVICES[:5]}
    first = owners[DEVICES[0]][0][0]
    owners[DEVICES[0]].append((first + chance.uniform(5, 30), chance.choice(PEOPLE)))
    said = []
    for _ in range(260):
        at = chance.uniform(0, MINUTES)
        name = chance.choice(["add_to_cart", "purchase", "level_up", "page_view", "level_up"])
        by_device = chance.random() < 0.3 and name != "page_view"  # what restarts is not kept of who has nothing open
        device = chance.choice([*DEVICES, *DEVICES, *TWINS]) if by_device else ""
        customer = "" if by_device else spelled(chance, chance.choice([*PEOPLE, *PEOPLE, STRANGER]))
        late = name == "level_up" and not by_device and chance.random() < 0.2
        received = at + (chance.uniform(0, 90) if late else 0)
        said.append(Said(at, received, name, customer, device, chance.choice([20, 80, "80", None])))
    owners |= {one: [(chance.uniform(10, MINUTES), who)] for one, who in FOUND_OUT.items()}
    return moments, said, owners, {twin: chance.uniform(5, MINUTES) for twin in TWINS}


def twins(owners: Owned, merged: dict[str, float]) -> tuple[Owned, dict[str, float]]:
    """Whose merged visitors are since when, and since when that is known: all of those that lead to one who is."""
    own, known = dict[str, list[tuple[float, str]]](), dict[str, float]()
    for twin in TWINS:
        at, other = merged[twin], TWINS[twin]
        while other in TWINS:
            at, other = max(at, merged[other]), TWINS[other]
        if other in owners:
            own[twin], known[twin] = owners[other], max(at, owners[other][0][0])
    return own, known


def stories(chance: Random) -> tuple[list[Said], list[tuple[float, float, str]]]:
    """Events of everybody's stories; when their sequences end, and are told of."""
    said, ends = [], []
    for person in [*PEOPLE, *WISHERS]:
        visits = person in WISHERS
        at = chance.uniform(0, APART / 2)
        while at < MINUTES - APART:
            events, end = STORIES[chance.choice(sorted(STORIES))]
            for name, after, late in events:
                who = ("", person) if visits else (spelled(chance, person), "")
                said.append(Said(at + after, at + after + late, name, *who, None))
            if end is not None:
                first = min(after + late for name, after, late in events if name == "wish")
                ends.append((at + end, at + first, f"v:{person}" if visits else person.lower()))
            at += APART
    return said, ends


def spelled(chance: Random, customer: str) -> str:
    return chance.choice([customer, customer.lower(), customer.upper()])


def members(trigger: dict[str, Any]) -> dict[str, Any]:
    """The members of a triggered campaign."""
    more = {name: value for name, value in trigger.items() if name not in ("kind", "times", "channels")}
    times, places = trigger.get("times"), trigger.get("channels", (world.SMS,))
    used = [{"channel_id": channel, "template_id": world.TEMPLATE} for channel in places]
    more["groups"] = [{"action_id": 2, "channels": used}]
    return more | ({"re_entry": "once" if times == 1 else {"times": times, "days": 1}} if times else {})


def answer(scope: Scope) -> None:
    """Give the gateway's verdicts on all that it is asked about."""
    with scope.records() as session:
        wanted = select(Firing).where(Firing.tenant_id == scope.tenant_id, Firing.state == FiringState.ASKING)
        waiting = [(one.id, one.person) for one in session.scalars(wanted.order_by(Firing.id))]
        releasing.release(scope, session, [number for number, person in waiting if person not in REFUSED])
        for number, person in waiting:
            if person in REFUSED:
                releasing.refuse(scope, session, number, "excluded", NOT_ALLOWED)


@pytest.fixture
def own(stores: Stores) -> Scope:
    """A tenant of a stream's own."""
    made = create_tenant(stores, f"simulated {time.time_ns()}", "Europe/Berlin", "EUR")
    everybody = [*PEOPLE, *FOUND_OUT.values()]
    world.fill(made, [{"customer_id": one, "IS_OPTIN": "No" if one == OPTED_OUT else "Yes"} for one in everybody])
    world.channel(made, world.PUSH, "Push")
    suppressions.suppress(made, NO_SMS, world.SMS)
    for name in ("wish", "wish_seen", "wish_fulfilled"):
        event_types.declare_event_type(made, name, {})
    return made


@pytest.mark.parametrize("seed", SEEDS)
def test_every_firing_is_what_the_pages_promise(own: Scope, seed: int) -> None:
    moments, said, owners, merged = streams(Random(seed))
    told_stories, ends = stories(Random(seed))
    said += told_stories
    made = [world.trigger(own, one["kind"], **members(one)) for one in TRIGGERS]
    told, steps, before = set[tuple[str, float]](), list[tuple[float, list[Said]]](), float("-inf")
    for now in moments:
        answer(own)
        for device, since in sorted((device, since) for device, of in owners.items() for since, _ in of):
            if since <= now and (device, since) not in told:
                told.add((device, since))
                world.identify(own, device, dict(owners[device])[since], since)
        for twin in (twin for twin, at in sorted(merged.items()) if before < at <= now):
            both = [twin, TWINS[twin]]
            Random(f"{seed}{twin}").shuffle(both)
            world.stitch(own, both[0], both[1], merged[twin])
        new = [one for one in said if before < one.received <= now]
        Random(seed).shuffle(new)
        for one in new:
            given = {} if one.amount is None else {"amount": one.amount}
            world.event(own, one.name, one.customer, one.at, one.device, one.received, **given)
        world.process(own, now)
        steps.append((now, new))
        before = now
    answer(own)
    of = {number: world.firings(own, series) for number, series in enumerate(made)}
    control = {
        (n, one.person): one.outcome == "control" or (one.due_at is not None and not one.recipient_group_id)
        for n, some in of.items()
        for one in reversed(some)
        if one.recipient_group_id or one.outcome == "control" or one.due_at is not None
    }
    of_twins, known = twins(owners, merged)
    model = Model(owners | of_twins, known, ends, control)
    for now, new in steps:
        model.step(now, new)
    model.settle()
    found = [
        (n, one.person, one.outcome or one.state, one.reason, moment(world.minutes_to(one.fired_at)))
        for n, some in of.items()
        for one in some
    ]
    assert len(found) > 200
    ours, theirs = Counter(found), Counter(model.fired)
    assert (sorted((ours - theirs).elements()), sorted((theirs - ours).elements())) == ([], [])

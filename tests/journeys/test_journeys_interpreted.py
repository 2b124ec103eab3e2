"""Journeys agree with a plain interpreter, on drawn journeys and streams of events: who stands where, since when, and
which messages each customer gets.

Steps that divide by chance are not drawn: the interpreter would have to repeat the hash that divides, and whether a
test has a winner depends on orders. test_journeys.py and test_journey_tests.py have them.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as draw
from journey_world import journey, message
from sqlalchemy import select
from trigger_world import NOW, add_customers, event, fill, process

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.campaigns.models import Series
from rapport.journeys import definitions
from rapport.journeys.models import JourneyMember
from rapport.journeys.states import JourneyStatus
from rapport.realtime.models import Firing

COUNTRIES = ("NL", "DE", "FR")
PEOPLE = tuple(f"I{n}" for n in range(len(COUNTRIES)))
EVENTS = ("page_view", "purchase", "level_up")
NUMBERS = itertools.count(1)
END = 100_000  # minutes; nobody waits so long
Stream = list[tuple[int, str, str]]


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> tuple[Scope, list[Series]]:
    scope = create_tenant(scope.stores, "interpreted journeys", time_zone="Europe/Berlin")
    fill(scope)
    rows = [{"customer_id": name, "COUNTRY": country} for name, country in zip(PEOPLE, COUNTRIES, strict=True)]
    add_customers(scope, rows)
    return scope, [message(scope) for _ in range(3)]


@draw.composite
def journeys(choose: draw.DrawFn) -> dict[str, Any]:
    """A journey of up to seven steps, each of which leads further on, or back to a wait."""
    kinds = choose(draw.lists(draw.sampled_from(["wait", "wait_for", "message", "split", "exit"]), max_size=5))
    kinds = ["wait", *kinds, "wait_for", "message"]
    ids = [f"s{n}" for n in range(len(kinds))]
    steps = []
    for place, kind in enumerate(kinds):
        following = draw.sampled_from([*ids[place + 1 :], None])
        step: dict[str, Any] = {"id": ids[place], "kind": kind}
        if kind in ("wait", "wait_for"):
            step["minutes"] = choose(draw.integers(1, 5))
        if kind == "wait_for":
            step["match"] = {"event": choose(draw.sampled_from(EVENTS))}
            step["otherwise"] = choose(following)
        if kind == "message":
            step["campaign"] = choose(draw.integers(0, 2))
        if kind == "split":
            step["country"] = choose(draw.sampled_from(["NL", "DE"]))
            step["then"] = choose(following)
        if kind != "exit":
            step["next"] = choose(following)
        steps.append(step)
    # What nobody can reach is refused: such a step is led to by the one before it.
    for place in range(1, len(steps)):
        if not any(ids[place] in targets(step) for step in steps[:place]):
            give = steps[place - 1]
            if give["kind"] == "exit":
                give.update(kind="message", campaign=0)
            give["next"] = ids[place]
    reached = {ids[0]}
    for step in steps:
        if step["id"] in reached:
            reached |= {target for target in targets(step) if target is not None}
    return {
        "steps": [step for step in steps if step["id"] in reached],
        "exit": choose(draw.sampled_from([None, *EVENTS[1:]])),
        "unlimited": choose(draw.booleans()),
    }


def targets(step: dict[str, Any]) -> list[str | None]:
    return [step.get("next"), step.get("otherwise"), step.get("then")]


def body_of(drawn: dict[str, Any], campaigns: list[Series]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Steps and the rest of a journey as the product takes them."""
    steps = []
    for step in drawn["steps"]:
        written = {name: step[name] for name in ("id", "kind", "next", "minutes", "match", "otherwise") if name in step}
        if step["kind"] == "message":
            written["campaign_id"] = campaigns[step["campaign"]].id
        if step["kind"] == "split":
            is_there = {"attribute": "COUNTRY", "operator": "equals", "value": step["country"]}
            written["branches"] = [{"customer_conditions": is_there, "next": step["then"]}]
        steps.append(written)
    events = [{"event": drawn["exit"]}] if drawn["exit"] else []
    more = {"exit": {"events": events}, "re_entry": "unlimited" if drawn["unlimited"] else "once"}
    return steps, more


@dataclass
class Member:
    """One way through the journey; minutes since the beginning."""

    person: str
    entered: int
    step: str = ""
    since: int = 0
    due: int | None = None
    ending: str = ""


@dataclass
class Interpreter:
    """Says what ought to happen, a minute and an event after the other."""

    drawn: dict[str, Any]
    ways: list[Member] = field(default_factory=list)
    messages: list[tuple[int, str, int]] = field(default_factory=list)

    def run(self, stream: Stream) -> list[int]:
        """All of it; the minutes at which something happened."""
        minutes, minute = list[int](), 0
        while minute < END:
            minutes.append(minute)
            for at, person, name in stream:
                if at == minute:
                    self.take(minute, person, name)
            while waiting := [way for way in self.ways if way.due is not None and way.due <= minute]:
                for way in waiting:
                    self.leave(way, minute, by_event=False)
            coming = [way.due for way in self.ways if way.due is not None]
            coming += [at for at, _, _ in stream if at > minute]
            minute = min(coming, default=END)
        return minutes

    def take(self, minute: int, person: str, name: str) -> None:
        inside = next((way for way in self.ways if way.person == person and not way.ending), None)
        if inside is not None:
            step = self.step(inside.step)
            if name == self.drawn["exit"]:
                inside.ending, inside.due = "exited", None
            elif step["kind"] == "wait_for" and step["match"]["event"] == name:
                self.leave(inside, minute, by_event=True)
        elif name == "page_view":
            before = [way for way in self.ways if way.person == person]
            if self.drawn["unlimited"] or not before:
                way = Member(person, minute)
                self.ways.append(way)
                self.go(way, self.drawn["steps"][0]["id"], minute)

    def step(self, step_id: str | None) -> dict[str, Any]:
        return next(step for step in self.drawn["steps"] if step["id"] == step_id)

    def leave(self, way: Member, minute: int, *, by_event: bool) -> None:
        step = self.step(way.step)
        self.go(way, step["otherwise"] if step["kind"] == "wait_for" and not by_event else step["next"], minute)

    def go(self, way: Member, step_id: str | None, minute: int) -> None:
        way.due = None
        while step_id is not None:
            step = self.step(step_id)
            way.step, way.since = step_id, minute
            if step["kind"] in ("wait", "wait_for"):
                way.due = minute + step["minutes"]
                return
            if step["kind"] == "exit":
                way.ending = "exited"
                return
            if step["kind"] == "message":
                self.messages.append((step["campaign"], way.person, minute))
            step_id = step["next"]
            if step["kind"] == "split" and COUNTRIES[PEOPLE.index(way.person)] == step["country"]:
                step_id = step["then"]
        way.ending = "completed"


def moments(stream: Stream, minutes: list[int]) -> Iterator[tuple[int, list[tuple[int, str, str]]]]:
    for minute in minutes:
        yield minute, [said for said in stream if said[0] == minute]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    journeys(),
    draw.lists(
        draw.tuples(draw.integers(0, 20), draw.sampled_from(PEOPLE), draw.sampled_from(EVENTS)),
        min_size=10,
        max_size=30,
    ),
)
def test_journeys_agree_with_a_plain_interpreter(
    tenant: tuple[Scope, list[Series]], drawn: dict[str, Any], stream: Stream
) -> None:
    scope, campaigns = tenant
    stream = sorted(stream, key=lambda said: said[0])
    expected = Interpreter(drawn)
    minutes = expected.run(stream)
    number = next(NUMBERS)
    begin = number * 10_000
    process(scope, begin - 1)
    steps, more = body_of(drawn, campaigns)
    made = journey(scope, *steps, name=f"Drawn {number}", **more)
    for minute, events in moments(stream, minutes):
        for _, person, name in events:
            event(scope, name, person, minutes=begin + minute)
        process(scope, begin + minute)
    definitions.set_status(scope, made.id, JourneyStatus.DRAINING)
    with scope.records() as session:
        members = list(session.scalars(select(JourneyMember).where(JourneyMember.journey_id == made.id)))
        firings = list(session.scalars(select(Firing).where(Firing.tenant_id == scope.tenant_id)))
    definitions.set_status(scope, made.id, JourneyStatus.ARCHIVED)
    start = NOW + timedelta(minutes=begin)

    def minute_of(instant: Any) -> int:
        return round((instant - start) / timedelta(minutes=1))

    assert sorted(
        (way.customer_id, minute_of(way.entered_at), way.step, minute_of(way.since), way.ending) for way in members
    ) == sorted((way.person, way.entered, way.step, way.since, way.ending) for way in expected.ways)
    sent = [
        (next(n for n, campaign in enumerate(campaigns) if campaign.id == firing.series_id), firing.customer_id,
         minute_of(firing.fired_at))
        for firing in firings
        if firing.fired_at >= start
    ]  # fmt: skip
    assert sorted(sent) == sorted(expected.messages)

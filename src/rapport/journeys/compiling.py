"""Journeys ready to be walked: the versions in which customers are, with their conditions compiled."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rapport import conditions
from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.audiences.facts import Needs
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.triggered import definitions as triggers
from rapport.campaigns.triggered.schemas import EventMatch
from rapport.conditions import Facts, Predicate
from rapport.errors import Invalid
from rapport.journeys.schemas import AnyStep, EventEntry, JourneyBody, SplitStep, WaitForStep, WaitUntilStep
from rapport.journeys.states import JourneyStatus
from rapport.realtime.matching.catalogue import Catalogue


@dataclass(frozen=True)
class CompiledJourney:
    """A version of a journey. admits and leaves are its conditions to come in and to leave, None for none.

    branches are those of its splits, by step; matches the tests of the events that it names, by where they stand.
    zone_attribute, in upper case, says in which time zone a customer is; empty when no step asks. winners are the
    numbers of the branches that have won its tests, by step.
    """

    id: int
    version: int
    status: JourneyStatus
    is_newest: bool
    body: JourneyBody
    admits: Predicate | None
    leaves: Predicate | None
    branches: Mapping[str, tuple[Predicate, ...]]
    matches: Mapping[str, Predicate | None]
    zone_attribute: str = ""
    winners: Mapping[str, int] = field(default_factory=dict)
    needs: Needs = field(default_factory=Needs)

    def is_met(self, where: str, match: EventMatch, event: str, facts: Facts) -> bool:
        """Whether an event matches one that the journey names at a place."""
        if match.event != event:
            return False
        test = self.matches[where]
        return test is None or test(facts)


def event_matches(body: JourneyBody) -> Iterator[tuple[str, EventMatch]]:
    """Every event that a journey names, with where it stands in the body."""
    if isinstance(body.entry, EventEntry):
        yield "entry.match", body.entry.match
    yield from ((f"exit.events[{number}]", match) for number, match in enumerate(body.exit.events))
    yield from ((f"steps.{step.id}.match", step.match) for step in body.steps if isinstance(step, WaitForStep))


def customer_conditions(body: JourneyBody) -> Iterator[tuple[str, Any]]:
    """Every condition of a journey on customers, with where it stands in the body."""
    if body.customer_conditions is not None:
        yield "customer_conditions", body.customer_conditions
    if body.exit.customer_conditions is not None:
        yield "exit.customer_conditions", body.exit.customer_conditions
    for step in body.steps:
        if isinstance(step, SplitStep):
            for number, branch in enumerate(step.branches):
                yield _of_branch(step, number), branch.customer_conditions


def with_conditions(body: JourneyBody, change: Callable[[str, Any], Any]) -> JourneyBody:
    """The same journey with each of its conditions on customers changed; change is given where it stands, and it."""
    changed = {where: change(where, written) for where, written in customer_conditions(body)}
    leaving = {"customer_conditions": changed.get("exit.customer_conditions")}
    return body.model_copy(
        update={
            "customer_conditions": changed.get("customer_conditions"),
            "exit": body.exit.model_copy(update=leaving),
            "steps": [_with_conditions(step, changed) for step in body.steps],
        }
    )


def _with_conditions(step: AnyStep, changed: Mapping[str, Any]) -> AnyStep:
    if not isinstance(step, SplitStep):
        return step
    branches = [
        branch.model_copy(update={"customer_conditions": changed[_of_branch(step, place)]})
        for place, branch in enumerate(step.branches)
    ]
    return step.model_copy(update={"branches": branches})


def _of_branch(split: SplitStep, place: int) -> str:
    """Where the condition of a branch stands."""
    return f"steps.{split.id}.branches[{place}].customer_conditions"


def own_zone_attribute(scope: Scope, body: JourneyBody) -> str:
    """The attribute, in upper case, that says in which time zone customers are; empty when no step asks for it."""
    if any(isinstance(step, WaitUntilStep) and step.time_zone == "customer" for step in body.steps):
        return tenant_settings(scope, CampaignSettings).time_zone_attribute.strip().upper()
    return ""


def compiled_journey(
    catalogue: Catalogue,
    number: int,
    version: int,
    status: JourneyStatus,
    body: JourneyBody,
    winners: Mapping[str, int],
    *,
    is_newest: bool = True,
) -> CompiledJourney:
    """A version of a journey as it stands among the tenant's attributes and events, with the winners of its tests.

    Raises Invalid, with where the fault stands, for what cannot be evaluated.
    """
    needs, predicates = Needs(), dict[str, Predicate]()
    for where, written in customer_conditions(body):
        try:
            condition = conditions.parse(written)
            needs.of_condition(condition)
            predicates[where] = conditions.to_predicate(condition, catalogue.schema)
        except Invalid as error:
            raise Invalid(error.message.replace("definition", where, 1)) from error
    matches = {where: _test(catalogue, where, match) for where, match in event_matches(body)}
    branches = {
        step.id: tuple(predicates[_of_branch(step, place)] for place in range(len(step.branches)))
        for step in body.steps
        if isinstance(step, SplitStep)
    }
    zone_attribute = own_zone_attribute(catalogue.scope, body)
    if zone_attribute in catalogue.schema.attributes:
        needs.attributes.add(zone_attribute)
    return CompiledJourney(
        id=number,
        version=version,
        status=status,
        is_newest=is_newest,
        body=body,
        admits=predicates.get("customer_conditions"),
        leaves=predicates.get("exit.customer_conditions"),
        branches=branches,
        matches=matches,
        zone_attribute=zone_attribute,
        winners=winners,
        needs=needs,
    )


def _test(catalogue: Catalogue, where: str, match: EventMatch) -> Predicate | None:
    triggers.check_match(catalogue.scope, match, catalogue.types, where)
    if match.conditions is None:
        return None
    return conditions.to_predicate(
        conditions.parse(match.conditions), triggers.event_schema(catalogue.scope, dict(catalogue.types[match.event]))
    )

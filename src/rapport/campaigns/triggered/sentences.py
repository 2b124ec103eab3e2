"""What makes a triggered campaign go out, as readable English."""

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import schema
from rapport.campaigns.triggered.schemas import (
    MINUTES_OF_DAY,
    EventMatch,
    JourneyTrigger,
    QuietHours,
    ReEntry,
    ReEntryRule,
    RepeatedTrigger,
    SequenceTrigger,
    Trigger,
    TriggeredBody,
)
from rapport.conditions import Names
from rapport.customers import event_types

MINUTES_OF_HOUR = 60


def triggered_sentence(scope: Scope, body: TriggeredBody) -> str:
    """A triggered campaign in words, without a full stop."""
    parameters = {name.upper(): name for event_type in event_types.event_types(scope) for name in event_type.types}
    who = "anybody" if body.visitors else "a customer"
    parts = [f"When {who} {_trigger(body.trigger, Names(attributes=parameters))}"]
    if body.customer_conditions is not None:
        words = conditions.sentence(conditions.parse(body.customer_conditions), schema.names(scope))
        parts.append(f"if {words[0].lower()}{words[1:]}")
    parts.append(_re_entry(body.re_entry))
    if body.quiet_hours is not None:
        parts.append(_quiet(body.quiet_hours))
    return ", ".join(part for part in parts if part)


def _trigger(trigger: Trigger, names: Names) -> str:
    if isinstance(trigger, JourneyTrigger):
        return "reaches a step of a journey that names this campaign"
    words = f"does {_event(trigger, names)}"
    if isinstance(trigger, RepeatedTrigger):
        return f"{words} {trigger.times} times within {_span(trigger.window_minutes)}"
    if not isinstance(trigger, SequenceTrigger):
        return words
    closing = " or ".join(_event(event_match, names) for event_match in trigger.closing)
    words += f" and then not {closing} within {_span(trigger.window_minutes)}"
    if trigger.restart:
        words += f", counted from the last {' or '.join(_event(event_match, names) for event_match in trigger.restart)}"
    return words


def _event(event_match: EventMatch, names: Names) -> str:
    if event_match.conditions is None:
        return f"'{event_match.event}'"
    words = conditions.sentence(conditions.parse(event_match.conditions), names)
    return f"'{event_match.event}' ({words[0].lower()}{words[1:]})"


def _span(minutes: int) -> str:
    """A length of time in the largest unit that it is a whole number of."""
    for size, unit in ((MINUTES_OF_DAY, "day"), (MINUTES_OF_HOUR, "hour"), (1, "minute")):
        if minutes % size == 0:
            number = minutes // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    raise AssertionError("every number of minutes is a whole number of minutes")


def _re_entry(limit: ReEntry | ReEntryRule) -> str:
    if not isinstance(limit, ReEntry):
        return "only once ever" if limit == ReEntryRule.ONCE else ""
    days = "a day" if limit.days == 1 else f"in {limit.days} days"
    return f"at most {'once' if limit.times == 1 else f'{limit.times} times'} {days}"


def _quiet(hours: QuietHours) -> str:
    what = "waiting for the end of" if hours.then == "delay" else "but not in"
    return f"{what} the quiet hours from {hours.start} to {hours.end}"

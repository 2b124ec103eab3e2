"""The rules that decide whether a message goes out: the one list, from which runs, triggers and single answers take
order, outcome and reason.

A run has a condition for each as SQL (`in_order`), a trigger a predicate (`first`); where one of them does not know a
rule, it has no condition for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from rapport.conditions.outcomes import Outcome

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Rule:
    """Why a message stays back; {} in the reason stands for what the condition has found."""

    outcome: Outcome
    reason: str = ""

    def outcome_and_reason(self, detail: Any = None) -> tuple[Outcome, str]:
        """Outcome and reason."""
        return self.outcome, self.reason.format(detail)


UNKEPT = Rule(Outcome.EXCLUDED, "id that cannot be kept")
UNKNOWN = Rule(Outcome.EXCLUDED, "unknown customer")
TEST = Rule(Outcome.EXCLUDED, "test account")
BLOCKED = Rule(Outcome.EXCLUDED, "blocked")
OPTED_OUT = Rule(Outcome.EXCLUDED, "opted out")
HELD_OUT = Rule(Outcome.EXCLUDED, "kept back: global hold-out")
HELD_OUT_ADDRESS = Rule(Outcome.EXCLUDED, "kept back: address of the global hold-out")
IN_GROUP = Rule(Outcome.EXCLUDED, "target group {}")
FIRED_BEFORE = Rule(Outcome.EXCLUDED, "fired before")
RUNNING = Rule(Outcome.EXCLUDED, "in a running campaign")
CAPPED = Rule(Outcome.CAPPED)
NO_PERMISSION = Rule(Outcome.SUPPRESSED, "no permission")
NO_ADDRESS = Rule(Outcome.NO_ADDRESS)
BAD_ADDRESS = Rule(Outcome.NO_ADDRESS, "{}")  # what it is not, as the kind of channel says
NO_DEVICE = Rule(Outcome.NO_ADDRESS, "no reachable device")
EXCLUDED = Rule(Outcome.SUPPRESSED, "under an exclusion")
LISTED = Rule(Outcome.SUPPRESSED, "suppression list")
TOPIC = Rule(Outcome.SUPPRESSED, "not subscribed to the topic")
PREFERENCE = Rule(Outcome.SUPPRESSED, "channel preference")
ELSEWHERE = Rule(Outcome.SKIPPED, "reached on another channel")
SAME_ADDRESS = Rule(Outcome.SKIPPED, "same address")
QUIET = Rule(Outcome.SKIPPED, "quiet hours")

# What keeps a customer out of the whole, then what keeps it off a channel, then what others and the hour decide.
OF_CUSTOMER = (
    UNKEPT,
    UNKNOWN,
    TEST,
    BLOCKED,
    OPTED_OUT,
    HELD_OUT,
    HELD_OUT_ADDRESS,
    IN_GROUP,
    FIRED_BEFORE,
    RUNNING,
    CAPPED,
)
OF_CHANNEL = (EXCLUDED, NO_PERMISSION, NO_ADDRESS, BAD_ADDRESS, NO_DEVICE, LISTED, TOPIC, PREFERENCE)
# What somebody said; where several are known of a person, the first is told.
BY_WISH = (EXCLUDED, LISTED, TOPIC, PREFERENCE)
RULES = (*OF_CUSTOMER, *OF_CHANNEL, ELSEWHERE, SAME_ADDRESS, QUIET)
# Whether rules apply to a person: what a condition finds, false for nothing.
Holds = Mapping[Rule, Callable[[], Any]]


def in_order(conditions: Mapping[Rule, T]) -> list[tuple[Rule, T]]:
    """What there is for rules, in their order."""
    return [(rule, conditions[rule]) for rule in RULES if rule in conditions]


def first(holds: Holds) -> tuple[Outcome, str] | None:
    """Outcome and reason of the first rule that applies; None when none does."""
    return next(
        (rule.outcome_and_reason(detail) for rule, condition in in_order(holds) if (detail := condition())), None
    )

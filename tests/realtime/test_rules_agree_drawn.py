"""A run's SQL and the predicates for one person come to the same outcome and reason, whatever hypothesis draws of both.

Two examples of many customers each, the same ones every time; RAPPORT_EXAMPLES draws so many others.
"""

import os
from datetime import timedelta
from random import Random
from typing import Any

import rule_world as rules
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.access.service import update_tenant
from rapport.messaging.contactability import rules as rules_of

EXAMPLES = int(os.environ.get("RAPPORT_EXAMPLES", "0"))
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
# An example takes seconds on the engines: what fails is told as it was drawn.
AS_DRAWN = settings(
    max_examples=EXAMPLES or 2,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=CHECKS,
)
# How the list of a run has its control: on no channel.
CONTROL = {0: ("", "")}
# Quiet from 08:00 to 12:00 in Berlin: it is 10:00 there.
QUIET = {"start": "08:00", "end": "12:00"}


def held_out(scope: Scope, number: int, share: float) -> Scope:
    """The tenant with a hold-out of its own for an example, so that nothing of another one is remembered."""
    hold_out = {"share": share, "start_date": "2026-03-11", "salt": f"example {number}"}
    return update_tenant(scope, {"settings": {"campaigns": {"hold_out": hold_out if share else None}}})


def differences(soon: dict[str, rules.Verdict], run: dict[str, rules.Verdict]) -> dict[str, Any]:
    """Who is decided otherwise in real time than by the run; of control only that no rule keeps it out of the whole."""
    control = {who for who, verdict in run.items() if verdict == CONTROL}
    assert soon.keys() == run.keys()
    return {who: (soon[who], run[who]) for who in soon if (0 in soon[who] if who in control else soon[who] != run[who])}


def test_both_ways_decide_the_same_of_whatever_is_drawn(scope: Scope) -> None:
    tenant = rules.made(scope)
    numbers = iter(range(1, 1_000_000))

    @AS_DRAWN
    @given(
        random=st.randoms(use_true_random=False),
        share=st.sampled_from([0, 0.1, 0.4]),
        control=st.sampled_from([0, 0, 0.3]),
        quiet=st.booleans(),
    )
    def decided_alike(random: Random, share: float, control: float, quiet: bool) -> None:
        number = next(numbers)
        here = held_out(tenant, number, share)
        people = rules.People(here, 1000 + number, random)
        rules.run(here, people.some(0.3), people.groups(), {"include_all": True}, rules.TODAY - timedelta(days=2))
        rules.fire(here, people, rules.TODAY - timedelta(days=1))
        rules.run(here, people.some(0.2), people.groups(), {"include_all": True}, rules.TODAY)
        people.wish()
        ids, places, asked, choice = people.some(1), people.groups(), people.rules(), people.choice()
        soon = rules.in_real_time(here, ids, places, asked, choice)
        hours = QUIET if quiet else None
        single = rules.asked(here, ids[::8], places, asked, quiet_hours=hours)
        run = rules.of_run(here, rules.run(here, ids, places, asked, rules.TODAY, control, choice))
        assert differences(soon, run) == {}, f"{places} {asked}"
        waits = ("waiting", rules_of.QUIET.reason) if quiet else ("", "")
        for who, answers in single.items():
            for channel_id, answer in answers.items():
                (expected, *_) = rules.of_channel(soon[who], channel_id)
                assert answer == (waits if expected == ("", "") else expected), (who, channel_id)

    decided_alike()

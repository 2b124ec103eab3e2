"""The rules of a run, in the warehouse, and those of a trigger, for one person, come to the same outcome and reason."""

from datetime import timedelta

import rule_world as rules

from rapport.access.scope import Scope
from rapport.messaging.contactability import rules as rules_of

SEEDS, ROUNDS = (1, 2), 3
# Rules that one of the two ways has alone, or that come after all others: who of an address is first, and the hour.
APART = {rules_of.UNKEPT, rules_of.FIRED_BEFORE, rules_of.SAME_ADDRESS, rules_of.QUIET}
FOUND = {rules_of.IN_GROUP: (1, 2), rules_of.BAD_ADDRESS: ("not an e-mail address",)}
EVERY = {
    rule.outcome_and_reason(found) for rule in rules_of.RULES if rule not in APART for found in FOUND.get(rule, (None,))
}


def test_both_ways_decide_the_same_of_everybody(scope: Scope) -> None:
    tenant = rules.made(scope)
    # All are there before anything is decided: what triggers know of the hold-out's addresses may be a minute old.
    crowds = [rules.People(tenant, seed) for seed in SEEDS]
    told: set[tuple[str, str]] = set()
    for people in crowds:
        rules.run(tenant, people.some(0.3), people.groups(), {"include_all": True}, rules.TODAY - timedelta(days=2))
        rules.fire(tenant, people, rules.TODAY - timedelta(days=1))
        rules.run(tenant, people.some(0.2), people.groups(), {"include_all": True}, rules.TODAY)
        for _ in range(ROUNDS):
            people.wish()
            ids, places, asked, choice = people.some(1), people.groups(), people.rules(), people.choice()
            soon = rules.in_real_time(tenant, ids, places, asked, choice)
            single = rules.asked(tenant, ids[::16], places, asked)
            run = rules.of_run(tenant, rules.run(tenant, ids, places, asked, rules.TODAY, choice=choice))
            assert soon == run, f"seed {people.seed}: {places} {asked} {choice}"
            assert all(said in rules.of_channel(run[one], n) for one, by in single.items() for n, said in by.items())
            told |= {said for verdict in run.values() for said in verdict.values()}
    assert told == {("", ""), *EVERY}, "the examples show every rule"


def test_every_rule_has_its_place() -> None:
    assert {one for one in vars(rules_of).values() if isinstance(one, rules_of.Rule)} == set(rules_of.RULES)
    assert len(set(rules_of.RULES)) == len(rules_of.RULES)

"""The rules of a run, in the warehouse, and those of a trigger, for one person, come to the same outcome and reason."""

from datetime import timedelta

import rule_world as rules

from rapport.access.scope import Scope

SEEDS, ROUNDS = (1, 2), 3
# Every rule but those of one of the two ways: quiet hours, re-entry, and who of an address comes first.
TOLD = {
    ("", ""),
    ("excluded", "unknown customer"),
    ("excluded", "test account"),
    ("excluded", "blocked"),
    ("excluded", "opted out"),
    ("excluded", "kept back: global hold-out"),
    ("excluded", "kept back: address of the global hold-out"),
    ("excluded", "target group 1"),
    ("excluded", "target group 2"),
    ("excluded", "in a running campaign"),
    ("capped", ""),
    ("suppressed", "no permission"),
    ("no address", ""),
    ("no address", "not an e-mail address"),
    ("suppressed", "suppression list"),
    ("suppressed", "channel preference"),
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
            ids, places, asked = people.some(1), people.groups(), people.rules()
            soon = rules.in_real_time(tenant, ids, places, asked)
            single = rules.asked(tenant, ids[::8], places, asked)
            run = rules.of_run(tenant, rules.run(tenant, ids, places, asked, rules.TODAY))
            assert soon == run, f"seed {people.seed}: {places} {asked}"
            assert all(
                said in (run[one].get(0), run[one].get(n)) for one, by in single.items() for n, said in by.items()
            )
            told |= {said for verdict in run.values() for said in verdict.values()}
    assert told == TOLD, "the examples show every rule"

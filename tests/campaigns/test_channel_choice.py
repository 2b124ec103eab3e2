"""A group that takes the first channel that reaches a customer, in its own order, and no other."""

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

from rapport.access.scope import Scope
from rapport.campaigns import occurrences
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import dry_runs, processing
from rapport.channels import service as channels
from rapport.messaging.contactability import suppressions

PHONE = 600
SKIPPED = ("skipped", "reached on another channel")


def test_each_customer_gets_the_first_channel_that_reaches_it(scope: Scope) -> None:
    scope.clock.set(NOW)
    people = [
        customer(1, EMAIL=None, FIRST_NAME="0201"),
        customer(2, EMAIL="two@example.com", FIRST_NAME="0202"),
        customer(3, EMAIL="three@example.com", FIRST_NAME=None),
        customer(4, EMAIL=None, FIRST_NAME=None),
        customer(5, EMAIL="five@example.com", FIRST_NAME="0205"),
    ]
    add_profiles(scope, people)
    publish(scope)
    add_channels(scope)
    channels.create_channel(scope, "Phone", "external", id=PHONE, address_attribute="FIRST_NAME")
    suppressions.suppress(scope, "c00005", PHONE)
    suppressions.suppress(scope, "c00004", EXTERNAL)
    add_group(scope, "Dutch", "NL")
    for name in ("First", "Second"):
        add_action(scope, name, (name.upper(),))
    chosen = group(2, (PHONE, 1), (EMAIL, 1), (EXTERNAL, 4), channel_choice="first_reachable")
    series = add_series(scope, 1, [chosen], control_share=0)
    planned = dry_runs.dry_run(scope, series.id)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    reached = {"C00001": PHONE, "C00002": PHONE, "C00003": EMAIL, "C00005": EMAIL}
    assert {row[0]: row[1] for row in recipients(scope, number)} == reached
    assert len(recipients(scope, number)) == len(reached)
    kept = {(row[0], row[1]): row[2:] for row in outcomes(scope, number)}
    assert kept == {
        ("C00001", EMAIL): ("no address", ""),
        ("C00001", EXTERNAL): SKIPPED,
        ("C00002", EMAIL): SKIPPED,
        ("C00002", EXTERNAL): SKIPPED,
        ("C00003", PHONE): ("no address", ""),
        ("C00003", EXTERNAL): SKIPPED,
        ("C00004", PHONE): ("no address", ""),
        ("C00004", EMAIL): ("no address", ""),
        ("C00004", EXTERNAL): ("suppressed", "suppression list"),
        ("C00005", PHONE): ("suppressed", "suppression list"),
        ("C00005", EXTERNAL): SKIPPED,
    }
    assert occurrences.occurrence(scope, number).test_size == planned.addressed == len(reached)

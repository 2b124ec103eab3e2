"""Target groups over the real engines: sizes, members, dependency order, circles, lists."""

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.audiences import building, groups, lists, membership
from rapport.audiences import counting as audience_counting
from rapport.audiences.models import Count, TargetGroup
from rapport.campaigns.models import Occurrence
from rapport.conditions import parse
from rapport.errors import Away, Conflict, Invalid, NotFound
from rapport.stores import Stores

DATA_DATE = date(2026, 3, 28)
CUSTOMERS = 400


def country(i: int) -> str | None:
    return [None, "DE", "de", "FR", "US"][i % 5]


@pytest.fixture(scope="module", autouse=True)
def data(scope: Scope) -> None:
    scope.clock.set(datetime(2026, 3, 29, 8, tzinfo=UTC))
    ids = [f"C{i:04}" for i in range(CUSTOMERS)]
    scope.warehouse.insert("customers", ["customer_id"], [(one,) for one in ids])
    for day in (DATA_DATE, DATA_DATE - timedelta(days=1)):
        rows = [(day, one, country(i), f"City {i % 10}") for i, one in enumerate(ids)]
        scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY", "CITY"], rows)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))


GERMAN = {"attribute": "COUNTRY", "operator": "equals", "value": "De"}
GERMANS = [f"C{i:04}" for i in range(CUSTOMERS) if country(i) in ("DE", "de")]


def stored(scope: Scope, group_id: int, day: date = DATA_DATE) -> list[str]:
    sql = "SELECT customer_id FROM target_group_members WHERE target_group_id = {g:UInt32} AND data_date = {d:Date}"
    return sorted(one for (one,) in scope.warehouse.rows(sql, g=group_id, d=day.isoformat()))


def test_members_are_stored_and_computed_again_without_a_change(scope: Scope) -> None:
    group = groups.create_target_group(scope, "Germans", GERMAN)
    assert membership.compute_members(scope, group.id, DATA_DATE) == len(GERMANS) == 160
    assert stored(scope, group.id) == GERMANS
    assert membership.compute_members(scope, group.id, DATA_DATE) == 160
    assert stored(scope, group.id) == GERMANS
    assert membership.members(scope, group.id, DATA_DATE, 3, 2) == GERMANS[2:5]
    again = groups.target_group(scope, group.id)
    assert (again.size, again.size_date, again.sized_at) == (160, DATA_DATE, scope.clock.now())
    tables = [name for (name,) in scope.warehouse.rows("SHOW TABLES")]
    assert not [name for name in tables if "aside" in name]


def test_a_group_that_becomes_empty_leaves_no_members(scope: Scope) -> None:
    group = groups.create_target_group(scope, "Emptying", GERMAN)
    membership.compute_members(scope, group.id, DATA_DATE)
    nobody = {"attribute": "COUNTRY", "operator": "equals", "value": "Nowhere"}
    groups.update_target_group(scope, group.id, definition=nobody)
    assert membership.compute_members(scope, group.id, DATA_DATE) == 0
    assert stored(scope, group.id) == []
    assert membership.members(scope, group.id, DATA_DATE, 10) == []


def test_groups_are_computed_after_those_they_depend_on(scope: Scope) -> None:
    base = groups.create_target_group(scope, "Base", GERMAN)
    middle = groups.create_target_group(scope, "Middle", {"not": {"group": base.id}})
    city = {"attribute": "CITY", "operator": "equals", "value": "city 3"}
    top = groups.create_target_group(scope, "Top", {"all": [{"group": middle.id}, city]})
    expected = [f"C{i:04}" for i in range(CUSTOMERS) if country(i) not in ("DE", "de") and i % 10 == 3]
    assert audience_counting.size_now(scope, top.condition) == len(expected) > 0
    assert membership.compute_members(scope, top.id, DATA_DATE) == len(expected)
    assert stored(scope, top.id) == expected
    groups.update_target_group(scope, base.id, definition={"all": []})
    assert audience_counting.size_now(scope, parse({"group": top.id})) == 0, (
        "a changed group is computed again, and those above it"
    )
    groups.update_target_group(scope, base.id, definition=GERMAN)
    membership.compute_members(scope, base.id, DATA_DATE)
    assert audience_counting.size_now(scope, parse({"group": top.id})) == len(expected), (
        "also when the changed one was since"
    )


def test_an_archived_group_is_still_computed_with_those_it_depends_on(scope: Scope) -> None:
    base = groups.create_target_group(scope, "Below", GERMAN)
    top = groups.create_target_group(scope, "Above", {"not": {"group": base.id}})
    groups.archive_target_group(scope, top.id)
    assert membership.compute_members(scope, top.id, DATA_DATE) == CUSTOMERS - len(GERMANS)


def test_circles_are_refused_with_a_sentence(scope: Scope) -> None:
    one = groups.create_target_group(scope, "One", {"all": []})
    two = groups.create_target_group(scope, "Two", {"group": one.id})
    with pytest.raises(Conflict, match="depend on each other in a circle: "):
        groups.update_target_group(scope, one.id, definition={"not": {"group": two.id}})
    with pytest.raises(Conflict, match="in a circle"):
        groups.update_target_group(scope, one.id, definition={"group": one.id})
    assert groups.target_group(scope, one.id).version == 1


def test_members_on_a_past_date_are_computed_when_its_profile_is_kept(scope: Scope) -> None:
    group = groups.create_target_group(scope, "Past", GERMAN)
    day = DATA_DATE - timedelta(days=1)
    assert membership.members(scope, group.id, day, 1000) == GERMANS
    assert membership.snapshot(scope, group.id, day) is not None
    with pytest.raises(NotFound, match="There is no profile of 2020-01-01"):
        membership.members(scope, group.id, date(2020, 1, 1), 10)


def test_names_are_unique_among_groups_in_use(scope: Scope) -> None:
    group = groups.create_target_group(scope, "Unique", GERMAN)
    with pytest.raises(Conflict, match="named 'UNIQUE' already"):
        groups.create_target_group(scope, "UNIQUE", GERMAN)
    other = groups.create_target_group(scope, "Other", GERMAN)
    with pytest.raises(Conflict, match="already"):
        groups.update_target_group(scope, other.id, name="unique")
    groups.archive_target_group(scope, group.id)
    assert groups.create_target_group(scope, "unique", GERMAN).id > group.id
    with pytest.raises(Conflict, match="archived"):
        groups.update_target_group(scope, group.id, name="Again")


@pytest.mark.parametrize(
    ("name", "definition", "priority", "message"),
    [
        (" ", GERMAN, None, "name must have"),
        ("x" * 201, GERMAN, None, "name must have"),
        ("P", GERMAN, 0, "priority must be"),
        ("P", {"group": 9999}, None, "names target group 9999, which does not exist"),
        ("P", {"attribute": "NOPE", "operator": "is_empty"}, None, "definition.attribute names 'NOPE'"),
        ("P", {}, None, "definition must have exactly one of"),
    ],
)
def test_bad_groups_are_refused(scope: Scope, name: str, definition: dict, priority: int | None, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        groups.create_target_group(scope, name, definition, priority)


def test_a_group_in_use_is_not_archived(scope: Scope) -> None:
    used = groups.create_target_group(scope, "Used", GERMAN)
    user = groups.create_target_group(scope, "User", {"group": used.id})
    with pytest.raises(Conflict, match=f"Target group {user.id} depends on target group {used.id}"):
        groups.archive_target_group(scope, used.id)
    groups.archive_target_group(scope, user.id)
    assert groups.archive_target_group(scope, used.id).archived


def test_priorities_follow_on(scope: Scope) -> None:
    first = groups.create_target_group(scope, "First", GERMAN, priority=500_000)
    assert groups.create_target_group(scope, "Second", GERMAN).priority == first.priority + 1
    assert groups.update_target_group(scope, first.id, priority=7).priority == 7


def test_samples_are_members_and_the_same_every_time(scope: Scope) -> None:
    sample = audience_counting.sample_now(scope, parse(GERMAN), 7)
    assert len(set(sample)) == 7 and set(sample) <= set(GERMANS)
    assert audience_counting.sample_now(scope, parse(GERMAN), 7) == sample


def test_counts_run_aside_and_are_remembered(scope: Scope) -> None:
    definition = {"any": [GERMAN, {"attribute": "CITY", "operator": "ends_with", "value": "3"}]}
    begun = audience_counting.start_count(scope, groups.definition_of(scope, definition))
    done = wait_for(scope, begun.id)
    expected = sum(country(i) in ("DE", "de") or i % 10 == 3 for i in range(CUSTOMERS))
    assert (done.state, done.size) == ("done", expected)
    assert audience_counting.start_count(scope, groups.definition_of(scope, definition)).id == begun.id
    assert audience_counting.start_count(scope, groups.definition_of(scope, definition), refresh=True).id != begun.id
    assert audience_counting.cancel_count(scope, begun.id).state == "done"


def wait_for(scope: Scope, count_id: str) -> Count:
    import time

    for _ in range(200):
        found = audience_counting.count(scope, count_id)
        if found.state != "running":
            return found
        time.sleep(0.02)
    raise AssertionError("the count did not end")


def test_a_canceled_count_stops_in_the_engine(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless member query stands for a slow one; the engine must give it up."""
    from rapport.audiences import counting
    from rapport.conditions import Compiled

    endless = Compiled("SELECT number FROM system.numbers WHERE sipHash64(number) = 1", {})
    monkeypatch.setattr(counting, "_compiled", lambda scope, condition, on: endless)
    begun = audience_counting.start_count(scope, groups.definition_of(scope, {"all": [GERMAN, GERMAN]}))
    running = "SELECT count() FROM system.processes WHERE startsWith(query, {tag:String})"
    wait_until(lambda: scope.warehouse.value(running, tag=f"/* count {begun.id}") == 1)
    assert audience_counting.cancel_count(scope, begun.id).state == "canceled"
    wait_until(lambda: scope.warehouse.value(running, tag=f"/* count {begun.id}") == 0)
    assert audience_counting.count(scope, begun.id).state == "canceled"


def test_counts_of_one_tenant_leave_a_place_to_others(
    scope: Scope, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rapport.audiences import counting

    going_on, begun = threading.Event(), []
    german = groups.definition_of(scope, GERMAN)
    other = create_tenant(stores, f"counting beside {scope.tenant_id}")
    with other.records() as session:
        session.execute(update(Tenant).where(Tenant.id == other.tenant_id).values(last_data_date=DATA_DATE))
    compiled = counting._compiled

    def slow(scope_: Scope, *of: Any) -> Any:
        if scope_.tenant_id == scope.tenant_id:
            begun.append(going_on.wait(60))
        return compiled(scope_, *of)

    monkeypatch.setattr(counting, "_compiled", slow)
    monkeypatch.setattr(counting, "MOST_WAITING", 3)
    try:
        flood = [audience_counting.start_count(scope, german, refresh=True) for _ in range(4)]
        with pytest.raises(Away, match="no more can wait"):
            audience_counting.start_count(scope, german, refresh=True)
        begun_beside = audience_counting.start_count(other, groups.definition_of(other, GERMAN))
        assert wait_for(other, begun_beside.id).state == "done"
        assert begun == []
    finally:
        going_on.set()
    assert {wait_for(scope, one.id).state for one in flood} == {"done"}


def wait_until(holds) -> None:  # type: ignore[no-untyped-def]
    import time

    for _ in range(500):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to hold")


def test_a_count_that_fails_says_why(scope: Scope) -> None:
    past = groups.create_target_group(scope, "Gone", GERMAN)
    begun = audience_counting.start_count(scope, groups.definition_of(scope, {"group": past.id}))
    assert wait_for(scope, begun.id).state == "done"
    with pytest.raises(NotFound, match="no count"):
        audience_counting.count(scope, "nope")


def test_a_count_whose_process_died_is_failed(scope: Scope) -> None:
    with scope.records() as session:
        session.add(
            Count(
                tenant_id=scope.tenant_id,
                id="dead",
                digest="x",
                data_date=DATA_DATE,
                state="running",
                started_at=scope.clock.now() - timedelta(hours=1),
            )
        )
    assert audience_counting.count(scope, "dead").error == "The count did not end."


def test_a_group_is_counted_and_remembers_it(scope: Scope) -> None:
    group = groups.create_target_group(scope, "Sized", GERMAN)
    assert group.size is None
    sized = audience_counting.size_target_group(scope, group.id)
    assert (sized.size, sized.size_date) == (len(GERMANS), DATA_DATE)
    with pytest.raises(NotFound):
        audience_counting.size_target_group(scope, 99_999)


def test_customer_lists_are_groups(scope: Scope) -> None:
    made = lists.create_customer_list(scope, "VIPs", ["c0001", "C0002", " C0002 ", "nobody", ""])
    assert (made.existing, made.missing) == (2, ["nobody"])
    assert membership.compute_members(scope, made.target_group_id, DATA_DATE) == 2
    assert stored(scope, made.target_group_id) == ["C0001", "C0002"]
    for name, ids, message in (
        ("vips", ["C0003"], "named 'vips' already"),
        ("Other list", [], "1 to"),
        ("Other list", ["nobody"], "no ID of a customer"),
    ):
        with pytest.raises(Invalid, match=message):
            lists.create_customer_list(scope, name, ids)


def test_a_series_stands_for_its_campaigns(scope: Scope) -> None:
    scheduled = datetime(2026, 3, 20, 9, tzinfo=UTC)
    with scope.records() as session:
        for number, series in ((71, 7), (72, 7), (81, 8)):
            session.add(
                Occurrence(
                    tenant_id=scope.tenant_id,
                    id=number,
                    series_id=series,
                    execution_date=date(2026, 3, 20) + timedelta(days=number % 10),
                    campaign_type="A/B",
                    duration=1,
                )
            )
    columns = ["execution_date", "campaign_id", "customer_id", "channel_id", "action_id", "scheduled_time"]
    sent = [(71, "C0001", 2), (72, "C0002", 2), (81, "C0003", 2), (72, "C0004", 1)]
    rows = [(date(2026, 3, 20), campaign, one, 504, action, scheduled) for campaign, one, action in sent]
    scope.warehouse.insert("campaign_recipients", columns, rows)
    of_series = {"history": "campaigns", "where": {"series": 7, "outcome": "targeted"}, "window": {"days": 30}}
    assert sorted(audience_counting.sample_now(scope, parse(of_series), 10)) == ["C0001", "C0002"]
    nothing = {"history": "campaigns", "where": {"series": 7}}
    assert audience_counting.size_now(scope, parse(nothing)) == 0, "none of them was sent"


def test_sentences_use_aliases_and_names(scope: Scope) -> None:
    group = groups.create_target_group(scope, "Named", {"all": []})
    told = groups.readable(scope, parse({"all": [GERMAN, {"not": {"group": group.id}}]}))
    assert told == "Country is 'De' and not (in target group 'Named')"


def test_choices_have_examples_but_none_of_personal_data(scope: Scope) -> None:
    choices = {choice.name: choice for choice in building.attribute_choices(scope)}
    assert set(choices["COUNTRY"].examples) == {"DE", "de", "FR", "US"}
    assert choices["EMAIL"].examples == []
    assert choices["REGISTRATION_DATE"].kind == "date"
    assert "in_last_days" in choices["REGISTRATION_DATE"].operators


def test_another_tenant_sees_nothing(scope: Scope, stores) -> None:  # type: ignore[no-untyped-def]
    from rapport.access.service import create_tenant
    from rapport.audiences import counting as audience_counting
    from rapport.audiences import groups

    group = groups.create_target_group(scope, "Mine", GERMAN)
    other = create_tenant(stores, f"other-{group.id}-{scope.tenant_id}")
    assert groups.target_groups(other) == []
    with pytest.raises(NotFound):
        groups.target_group(other, group.id)
    assert audience_counting.size_now(other, parse(GERMAN)) == 0
    with scope.records() as session:
        assert session.get(TargetGroup, (other.tenant_id, group.id)) is None


@pytest.mark.parametrize("word", ["No", "no", "false", False, 0, "opted out", "NEIN"])
def test_consent_is_asked_for_in_any_word(scope: Scope, word: object) -> None:
    """Customers said no in the form that is kept of it, whatever word a definition was made with."""
    scope.warehouse.execute(
        "ALTER TABLE profiles UPDATE ALLOW_EMAIL = if(customer_id < 'C0100', 'No', 'Yes') WHERE customer_id < 'C0300'"
    )
    said = [f"C{i:04}" for i in range(100)]
    asked = {
        "equals": said,
        "in": said,
        "not_equals": [f"C{i:04}" for i in range(100, CUSTOMERS)],
    }
    for operator, expected in asked.items():
        value = [word, "Unknown"] if operator == "in" else word
        definition = {"attribute": "ALLOW_EMAIL", "operator": operator, "value": value}
        name = f"{operator} {type(word).__name__} {str(word).encode().hex()}"
        group = groups.create_target_group(scope, name, definition)
        membership.compute_members(scope, group.id, DATA_DATE)
        assert stored(scope, group.id) == expected, operator

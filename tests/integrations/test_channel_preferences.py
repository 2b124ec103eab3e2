"""How customers may be contacted on a channel: stored whole, read in one query, kept after an erasure."""

import pytest
from sqlalchemy import event, func, select

from rapport.access.scope import Scope
from rapport.campaigns.plans import PlannedChannel, PlannedGroup
from rapport.channels import service as channels
from rapport.customers.consent import Consents
from rapport.errors import Invalid
from rapport.messaging import erasure, registration
from rapport.messaging.contactability import preferences, suppressions
from rapport.messaging.contactability.purposes import Purpose
from rapport.messaging.models import ChannelPreference
from rapport.messaging.registration import Registered
from rapport.realtime.matching.reachability import Reach

CHANNEL, OTHER = 605, 606


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    for number, name in ((CHANNEL, "Text"), (OTHER, "Push")):
        channels.create_channel(scope, name, "external", id=number)


def test_reasons_are_told_by_the_id_as_given(scope: Scope) -> None:
    suppressions.suppress(scope, "Listed", CHANNEL, "manual")
    suppressions.suppress(scope, "Everywhere")
    preferences.set_preference(scope, CHANNEL, ["Out", "Both", "Zoë"], 2)
    suppressions.suppress(scope, "both", CHANNEL, "bounced")
    asked = ["LISTED", "everywhere", "oUT", "ZOË", "BOTH", "fine", "o'ther\\"]
    expected = {
        "LISTED": "suppression list",
        "everywhere": "suppression list",
        "oUT": "channel preference",
        "ZOË": "channel preference",
        "BOTH": "suppression list",
    }
    assert preferences.unreachable(scope, CHANNEL, asked) == expected
    assert preferences.unreachable(scope, OTHER, asked) == {"everywhere": "suppression list"}
    assert preferences.unreachable(scope, CHANNEL, []) == {}


def test_the_last_report_counts(scope: Scope) -> None:
    for mode, expected in ((2, {"turn": "channel preference"}), (2, {"turn": "channel preference"}), (1, {})):
        preferences.set_preference(scope, CHANNEL, ["Turn", "TURN"], mode)
        assert preferences.unreachable(scope, CHANNEL, ["turn"]) == expected


def test_an_app_is_a_part_of_its_channel(scope: Scope) -> None:
    preferences.set_preference(scope, OTHER, ["Half"], 2, "ios")
    assert preferences.unreachable(scope, OTHER, ["half"]) == {}
    assert preferences.unreachable(scope, OTHER, ["half"], Purpose("droid")) == {}
    assert preferences.unreachable(scope, OTHER, ["half"], Purpose("ios")) == {"half": "channel preference"}
    preferences.set_preference(scope, OTHER, ["Whole"], 2)
    assert preferences.unreachable(scope, OTHER, ["Whole"], Purpose("droid")) == {"Whole": "channel preference"}


def on_other(template: int) -> PlannedGroup:
    return PlannedGroup(action_id=2, channels=(PlannedChannel(channel_id=OTHER, template_id=template),))


def test_triggers_mind_the_app_of_a_template(scope: Scope) -> None:
    given = [Registered(40, "For iOS", "ios"), Registered(41, "For all"), Registered(42, "For Android", "droid")]
    registration.register_templates(scope, OTHER, given)
    preferences.set_preference(scope, OTHER, ["App-only"], 2, "ios")
    reach = Reach({OTHER: channels.channel(scope, OTHER)}, Consents())
    reach.ask(scope, [OTHER], ["APP-ONLY", "Well"])
    faults = {
        (who, template): reach.faults(who, on_other(template))
        for who in ("app-only", "well")
        for template in (40, 41, 42, 43)
    }
    assert {key for key, found in faults.items() if found} == {("app-only", 40)}
    assert faults["app-only", 40] == {OTHER: ("suppressed", "channel preference")}


def test_ids_of_apps_compare_ignoring_case(scope: Scope) -> None:
    preferences.set_preference(scope, CHANNEL, ["Cased"], 2, "iOS")
    for app in ("ios", "IOS", "iOS"):
        assert preferences.unreachable(scope, CHANNEL, ["cased"], Purpose(app)) == {"cased": "channel preference"}
        assert "Cased" in preferences.suppressions(scope, CHANNEL, Purpose(app))["customer_id"].to_pylist()
    assert preferences.unreachable(scope, CHANNEL, ["cased"], Purpose("droid")) == {}
    assert [(one.app_id, one.mode) for one in preferences.preferences(scope, "cased")] == [("iOS", 2)]
    erasure.forget(scope, "cased", [])
    assert preferences.unreachable(scope, CHANNEL, ["Cased"], Purpose("ioS")) == {"Cased": "channel preference"}
    preferences.set_preference(scope, CHANNEL, ["Cased"], 1, "IOS")
    assert preferences.unreachable(scope, CHANNEL, ["Cased"], Purpose("ios")) == {}
    assert [one.mode for one in preferences.preferences(scope, "cased")] == [1]


def test_triggers_mind_the_app_in_any_case(scope: Scope) -> None:
    registration.register_templates(scope, OTHER, [Registered(50, "a", "Web"), Registered(51, "b", "wEB")])
    preferences.set_preference(scope, OTHER, ["Browser"], 2, "WEB")
    reach = Reach({OTHER: channels.channel(scope, OTHER)}, Consents())
    reach.ask(scope, [OTHER], ["browser"])
    for template in (50, 51):
        assert reach.faults("browser", on_other(template)) == {OTHER: ("suppressed", "channel preference")}


def test_an_erased_person_stays_opted_out_until_the_vendor_says_otherwise(scope: Scope) -> None:
    preferences.set_preference(scope, CHANNEL, ["Gone"], 2)
    suppressions.suppress(scope, "Gone too", CHANNEL)
    for who in ("Gone", "Gone too"):
        erasure.forget(scope, who, [])
    with scope.records() as session:
        mine = select(ChannelPreference.customer_id, ChannelPreference.customer_key)
        rows = session.execute(mine.where(ChannelPreference.tenant_id == scope.tenant_id)).all()
    assert not [row for row in rows if "gone" in row.customer_key] and "" in [row.customer_id for row in rows]
    assert preferences.unreachable(scope, CHANNEL, ["GONE", "gone TOO"]) == {
        "GONE": "channel preference",
        "gone TOO": "suppression list",
    }
    preferences.set_preference(scope, CHANNEL, ["gone"], 1)
    assert preferences.unreachable(scope, CHANNEL, ["Gone"]) == {}
    assert [row.mode for row in preferences.preferences(scope, "GONE")] == [1]


@pytest.mark.parametrize("customer", ["x" * 256, "İ" * 200, " "])
def test_customer_ids_have_a_bound_in_lower_case_too(scope: Scope, customer: str) -> None:
    with pytest.raises(Invalid, match=r"^CustomerIDs must each have 1 to 255 characters\.$"):
        preferences.set_preference(scope, CHANNEL, ["fine", customer], 2)
    with pytest.raises(Invalid, match=r"^customer_id must have 1 to 255 characters\.$"):
        suppressions.suppress(scope, customer)
    assert preferences.unreachable(scope, CHANNEL, ["fine"]) == {}


@pytest.mark.parametrize("mode", [0, 3, -1])
def test_other_modes_are_refused(scope: Scope, mode: int) -> None:
    with pytest.raises(Invalid, match="CommunicationMode"):
        preferences.set_preference(scope, CHANNEL, ["x"], mode)
    with pytest.raises(Invalid, match="ChannelID"):
        preferences.set_preference(scope, 999, ["x"], 1)
    assert preferences.unreachable(scope, CHANNEL, ["x"]) == {}


def test_fifty_thousand_at_once_take_no_more_statements_than_five(scope: Scope) -> None:
    def statements(number: int, mode: int) -> int:
        counted: list[str] = []

        def count(connection: object, cursor: object, statement: str, *_: object) -> None:
            counted.append(statement)

        event.listen(scope.stores.records.engine, "before_cursor_execute", count)
        try:
            preferences.set_preference(scope, OTHER, [f"Customer-{n}" for n in range(number)], mode)
        finally:
            event.remove(scope.stores.records.engine, "before_cursor_execute", count)
        return sum("channel_preferences" in statement for statement in counted)

    few = statements(5, 2)
    assert statements(50_000, 2) == few > 0
    assert set(preferences.unreachable(scope, OTHER, [f"Customer-{n}" for n in range(50_000)])) == {
        f"Customer-{n}" for n in range(50_000)
    }
    preferences.set_preference(scope, OTHER, [f"Customer-{n}" for n in range(50_000)], 1)
    assert preferences.unreachable(scope, OTHER, [f"Customer-{n}" for n in range(50_000)]) == {}
    with scope.records() as session:
        count = select(func.count()).where(
            ChannelPreference.tenant_id == scope.tenant_id,
            ChannelPreference.channel_id == OTHER,
            ChannelPreference.mode == 1,
        )
        assert session.scalar(count) == 50_000

"""The stage of a run: every member of the target group with the verdict of the rules."""

# ruff: noqa: S608 - statements are put together of constants, checked identifiers and numbers

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from rapport.access.scope import Scope
from rapport.campaigns import queries
from rapport.campaigns.models import Occurrence
from rapport.channels import service as channels
from rapport.customers import service as customers
from rapport.messaging import service as messaging
from rapport.stores.warehouse import identifier

FLAGS = ("IS_TEST", "IS_BLOCKED", "IS_OPTIN")
OWN_ID = "CUSTOMER_ID"


@dataclass(frozen=True)
class Place:
    """One recipient group on one channel. position counts the run's channels from 1; times are tenant wall clock."""

    group: int
    channel_id: int
    position: int
    template_id: int
    action_id: int
    promo_code: str
    scheduled_time: datetime


def stage_name(campaign_id: int, suffix: str = "stage") -> str:
    """The name of a run's table aside."""
    return f"run_{campaign_id}_{suffix}"


def fill_stage(
    scope: Scope, found: Occurrence, data_date: date, places: Sequence[Place], bindings: dict[str, Any]
) -> None:
    """Build the stage of a run from the members on a data date."""
    stage, suppressed = (identifier(stage_name(found.id, suffix)) for suffix in ("stage", "suppressed"))
    for table, definition in ((stage, queries.STAGE_TABLE), (suppressed, queries.SUPPRESSED_TABLE)):
        scope.warehouse.execute(queries.NO_TABLE.format(table=table))
        scope.warehouse.execute(definition.format(stage=stage, suppressed=suppressed))
    used = [channels.channel(scope, channel_id) for channel_id in sorted({place.channel_id for place in places})]
    lists = _lists(scope, places)
    for one in lists:
        load_suppressed(scope, found.id, one)
    rules = found.plan["rules"]
    bindings |= {f"excluded_{n}": group for n, group in enumerate(rules.get("exclude_target_group_ids", []))}
    scope.warehouse.execute(
        queries.FILL_STAGE.format(
            stage=stage,
            members=_members(found),
            columns=_columns(scope, used),
            exclusions=_exclusions(rules),
            capped=queries.OVER_CAP if rules.get("frequency_cap") else "false",
            faults=f"[{', '.join(_fault(channel, lists, suppressed) for channel in used)}]",
            reachable=_reachable(places),
        ),
        **bindings,
    )


@dataclass(frozen=True)
class KeptOff:
    """Whom the templates of an app, or of none, on a channel must not reach: list is a number within the run."""

    list: int
    channel_id: int
    app_id: str
    groups: tuple[int, ...] = ()


def _lists(scope: Scope, places: Sequence[Place]) -> list[KeptOff]:
    """The lists that a run needs, each with the recipient groups that it is for."""
    apps = messaging.apps_of_templates(scope, {place.channel_id for place in places})
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place in places:
        groups[place.channel_id, apps.get((place.channel_id, place.template_id), "")].append(place.group)
    return [KeptOff(number, *key, tuple(sorted(found))) for number, (key, found) in enumerate(sorted(groups.items()))]


def load_suppressed(scope: Scope, campaign_id: int, wanted: KeptOff, suffix: str = "suppressed") -> None:
    """Bring those kept off a channel into a run's table aside, in lower case: ids compare ignoring case."""
    table = messaging.suppressions(scope, wanted.channel_id, wanted.app_id)
    if table.num_rows:
        faults = [queries.KEPT_OFF[reason] for reason in table["reason"].to_pylist()]
        columns = {
            "list": pa.array([wanted.list] * table.num_rows, pa.uint16()),
            "fault": pa.array(faults, pa.uint8()),
            "customer_id": pa.array([str(one).lower() for one in table["customer_id"].to_pylist()], pa.string()),
        }
        scope.warehouse.insert_arrow(stage_name(campaign_id, suffix), pa.table(columns))


def _members(found: Occurrence) -> str:
    if found.is_one_time:
        return queries.LIST_MEMBERS.format(number=int(found.plan["customer_list_id"])) + " ORDER BY customer_id"
    return queries.GROUP_MEMBERS.format(number=int(found.target_group_id))


def _columns(scope: Scope, used: Sequence[channels.Channel]) -> str:
    names = {*FLAGS}
    for channel in used:
        names |= {channel.address_attribute, channel.permission_attribute or ""} - {OWN_ID, ""}
    found = customers.find(scope, sorted(names))
    return ", ".join(f"{customers.rendered(info)} AS {_alias(info.real_field_name)}" for info in found)


def _alias(name: str) -> str:
    return identifier(f"of_{name.upper()}")


def _is(name: str, words: str) -> str:
    return f"lower(ifNull(p.{_alias(name)}, '')) IN {words}"


def _exclusions(rules: dict[str, Any]) -> str:
    """The branches of a multiIf: condition and reason of every exclusion rule, first one counts."""
    found = [
        ("p.known_id = ''", "unknown customer"),
        (_is("IS_TEST", queries.TRUE_WORDS), "test account"),
        (_is("IS_BLOCKED", queries.TRUE_WORDS), "blocked"),
        (_is("IS_OPTIN", queries.FALSE_WORDS), "opted out"),
    ]
    for n, group_id in enumerate(rules.get("exclude_target_group_ids", [])):
        members = (
            "m.customer_id IN (SELECT customer_id FROM target_group_members "
            f"WHERE data_date = {{data_date:Date}} AND target_group_id = {{excluded_{n}:UInt32}})"
        )
        found.append((members, f"target group {int(group_id)}"))
    if not rules.get("include_all"):
        found.append((queries.IN_RUNNING, "in a running campaign"))
    return "".join(f"{condition}, '{reason}', " for condition, reason in found)


def _fault(channel: channels.Channel, lists: Sequence[KeptOff], suppressed: str) -> str:
    """An expression for the fault of a channel: an index of queries.FAULTS."""
    branches = []
    if channel.permission_attribute:
        branches.append(f"{_is(channel.permission_attribute, queries.FALSE_WORDS)}, 1")
    if channel.address_attribute != OWN_ID:
        branches.append(f"trimBoth(ifNull(p.{_alias(channel.address_attribute)}, '')) = '', 2")
    for one in lists:
        if one.channel_id == channel.id:
            groups = ", ".join(map(str, one.groups))
            for fault in queries.KEPT_OFF.values():
                listed = f"SELECT customer_id FROM {suppressed} WHERE list = {one.list} AND fault = {fault}"
                branches.append(f"grp IN ({groups}) AND lowerUTF8(m.customer_id) IN ({listed}), {fault}")
    return f"toUInt8(multiIf({', '.join(branches)}, 0))"


def _reachable(places: Sequence[Place]) -> str:
    """Whether at least one channel of the customer's group reaches it."""
    groups = sorted({place.group for place in places})
    branches = []
    for group in groups:
        tests = (f"faults[{place.position}] = 0" for place in places if place.group == group)
        branches.append(f"grp = {group}, {' OR '.join(tests)}")
    return f"multiIf({', '.join(branches)}, false)"

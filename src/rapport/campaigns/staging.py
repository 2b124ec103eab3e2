"""The stage of a run: every member of the target group with the verdict of the rules."""

# ruff: noqa: S608 - statements are put together of constants, checked identifiers and numbers

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns import queries
from rapport.campaigns.kept_off import KeptOff, load_suppressed, stand
from rapport.campaigns.models import Occurrence
from rapport.campaigns.same_address import Sharing, decoded
from rapport.channels import service as channels
from rapport.customers import service as customers
from rapport.messaging import service as messaging
from rapport.stores.warehouse import identifier

FLAGS = ("IS_TEST", "IS_BLOCKED", "IS_OPTIN")


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
) -> dict[str, str]:
    """Build the stage of a run on a data date; answers by which those kept off are told apart, by channel and group."""
    stage, suppressed = (identifier(stage_name(found.id, suffix)) for suffix in ("stage", "suppressed"))
    for table, definition in ((stage, queries.STAGE_TABLE), (suppressed, queries.SUPPRESSED_TABLE)):
        scope.warehouse.execute(queries.NO_TABLE.format(table=table))
        scope.warehouse.execute(definition.format(stage=stage, suppressed=suppressed))
    used = [channels.channel(scope, channel_id) for channel_id in sorted({place.channel_id for place in places})]
    lists = _lists(scope, places)
    stood = [(one, stand(scope, one, data_date)) for one in lists]
    for one in lists:
        load_suppressed(scope, stage_name(found.id, "suppressed"), one, data_date)
    rules, reading = found.plan["rules"], customers.consents(scope)
    bindings |= {f"excluded_{n}": group for n, group in enumerate(rules.get("exclude_target_group_ids", []))}
    members, columns = _members(found), _columns(scope, used)
    sharing = _sharing(scope, found, used, data_date)
    is_shared = any(channel.address_attribute != channels.OWN_ID for channel in used) and sharing.find(
        members, columns, **bindings
    )
    statement = queries.FILL_STAGE.format(
        stage=stage,
        members=members,
        columns=columns,
        unit=sharing.unit if is_shared else "m.customer_id",
        addresses=sharing.hashes if is_shared else "[]",
        exclusions=_exclusions(rules, reading),
        capped=queries.OVER_CAP if rules.get("frequency_cap") else "false",
        faults=f"[{', '.join(_fault(channel, lists, suppressed, reading) for channel in used)}]",
        reachable=_reachable(places),
    )
    for part in scope.warehouse.customer_slices(*queries.STAGE_READS):
        part.execute(statement, **bindings)
    if is_shared:
        sharing.skip(stage, _reachable(places))
    return {f"{one.channel_id}/{group}": text for one, text in stood for group in one.groups}


def _sharing(scope: Scope, found: Occurrence, used: Sequence[channels.Channel], data_date: date) -> Sharing:
    """Who of a run shares an address with whom, to be found; its tables are those of the run."""
    prefix = stage_name(found.id)
    addresses = {one.address_attribute: f"p.{_alias(one.address_attribute)}" for one in used}
    addresses.pop(channels.OWN_ID, None)
    domains = decoded(scope, prefix, _stored(scope, list(addresses)), data_date)
    keys = [
        channels.key_sql(addresses[name], domains) if (name := one.address_attribute) in addresses else ""
        for one in used
    ]
    return Sharing(scope, prefix, keys)


def _stored(scope: Scope, names: Sequence[str]) -> list[str]:
    """SQL of the texts of attributes as a profile has them."""
    return [customers.rendered(info) for info in customers.find(scope, names)]


def drop_stage(scope: Scope, campaign_id: int) -> None:
    """Drop every table aside of a run."""
    for suffix in ("stage", "suppressed"):
        scope.warehouse.execute(queries.NO_TABLE.format(table=identifier(stage_name(campaign_id, suffix))))
    Sharing(scope, stage_name(campaign_id), ()).drop()


def _lists(scope: Scope, places: Sequence[Place]) -> list[KeptOff]:
    """The lists that a run needs, each with the recipient groups that it is for."""
    apps = messaging.apps_of_templates(scope, {place.channel_id for place in places})
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place in places:
        groups[place.channel_id, apps.get((place.channel_id, place.template_id), "")].append(place.group)
    return [KeptOff(number, *key, tuple(sorted(found))) for number, (key, found) in enumerate(sorted(groups.items()))]


def _members(found: Occurrence) -> str:
    if found.is_one_time:
        return queries.LIST_MEMBERS.format(number=int(found.plan["customer_list_id"])) + " ORDER BY customer_id"
    return queries.GROUP_MEMBERS.format(number=int(found.target_group_id))


def _columns(scope: Scope, used: Sequence[channels.Channel]) -> str:
    names = {*FLAGS}
    for channel in used:
        names |= {channel.address_attribute, channel.permission_attribute or ""} - {channels.OWN_ID, ""}
    found = customers.find(scope, sorted(names))
    return ", ".join(f"{customers.rendered(info)} AS {_alias(info.real_field_name)}" for info in found)


def _alias(name: str) -> str:
    return identifier(f"of_{name.upper()}")


def _exclusions(rules: dict[str, Any], reading: customers.Consents) -> str:
    """The branches of a multiIf: condition and reason of every exclusion rule, first one counts."""
    found = [
        ("NOT isValidUTF8(m.customer_id) OR position(m.customer_id, char(0)) > 0", "id that cannot be kept"),
        ("p.known_id = ''", "unknown customer"),
        (reading.blocked.forbids_writing_sql(f"p.{_alias('IS_TEST')}"), "test account"),
        (reading.blocked.forbids_writing_sql(f"p.{_alias('IS_BLOCKED')}"), "blocked"),
        (reading.permission.forbids_writing_sql(f"p.{_alias('IS_OPTIN')}"), "opted out"),
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


def _fault(channel: channels.Channel, lists: Sequence[KeptOff], suppressed: str, reading: customers.Consents) -> str:
    """An expression for the fault of a channel: an index of queries.FAULTS."""
    branches = []
    if channel.permission_attribute:
        permission = f"p.{_alias(channel.permission_attribute)}"
        branches.append(f"{reading.permission.forbids_writing_sql(permission)}, 1")
    if channel.address_attribute != channels.OWN_ID:
        address = f"p.{_alias(channel.address_attribute)}"
        branches.append(f"trimBoth(ifNull({address}, '')) = '', 2")
        if channel.kind == "email":
            branches.append(f"NOT {channels.email_sql(address)}, {queries.NO_EMAIL_ADDRESS}")
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

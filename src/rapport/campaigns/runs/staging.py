"""The stage of a run: every member of the target group with the verdict of the rules."""

# ruff: noqa: S608 - statements are put together of constants, checked identifiers and numbers

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.models import Occurrence
from rapport.campaigns.plans import PlannedGroup, PlannedRules
from rapport.campaigns.runs import hold_out as hold_outs
from rapport.campaigns.runs import queries
from rapport.campaigns.runs.drawing import drawn
from rapport.campaigns.runs.own_times import OwnTimes, own_times
from rapport.campaigns.runs.places import Place
from rapport.campaigns.runs.same_address import SharedAddresses, decoded
from rapport.campaigns.runs.splits import (
    OF_RUN,
    OF_SERIES,
    alike,
    cuts,
    group_at_sql,
    run_lot_sql,
    run_part_sql,
)
from rapport.campaigns.states import ChannelChoice
from rapport.channels import addresses as channel_addresses
from rapport.channels import service as channels
from rapport.channels.kinds.base import OWN_ID
from rapport.channels.models import Channel
from rapport.customers import attributes
from rapport.messaging.contactability import kept_off as messaging_kept_off
from rapport.messaging.contactability import reaching, survey
from rapport.messaging.contactability import rules as eligibility
from rapport.messaging.contactability.kept_off import KeptOff
from rapport.messaging.contactability.purposes import ANYTHING, Purpose, purposes_of_templates
from rapport.messaging.contactability.reaching import Reading, profile_alias
from rapport.stores.warehouse import identifier, literal

# The fault of a channel that is passed over.
ELSEWHERE = messaging_kept_off.fault_of(eligibility.ELSEWHERE)


def stage_name(campaign_id: int, suffix: str = "stage") -> str:
    """The name of a run's table aside."""
    return f"run_{campaign_id}_{suffix}"


@dataclass(frozen=True)
class StagePlan:
    """How the stage of a run is filled, all but the values that other runs of the same day decide on.

    parameters: values of the statement; kept_off: by which those kept off are told apart, by channel and group.
    """

    statement: str
    parameters: dict[str, Any]
    sharing: SharedAddresses
    is_shared: bool
    kept_off: dict[str, str]
    own_times: OwnTimes


@attributes.attributes_read_once()
def plan_stage(
    scope: Scope, campaign: Occurrence, data_date: date, places: Sequence[Place], shares: Sequence[float]
) -> StagePlan:
    """Make the tables aside of a run on a data date, and the statement that fills its stage; no other run matters."""
    stage, suppressed = (identifier(stage_name(campaign.id, suffix)) for suffix in ("stage", "suppressed"))
    drop_stage(scope, campaign.id)
    engine = scope.warehouse.engine_aside(queries.STAGE_ORDER)
    scope.warehouse.execute(queries.STAGE_TABLE.format(stage=stage, engine=engine))
    messaging_kept_off.create_suppressed(scope, stage_name(campaign.id, "suppressed"))
    run_channels = [
        channels.channel(scope, channel_id) for channel_id in sorted({place.channel_id for place in places})
    ]
    lists = _lists(scope, places)
    profiles = survey.profiles_stand(scope, data_date)
    list_states = [(exclusion, messaging_kept_off.stand(scope, exclusion, data_date, profiles)) for exclusion in lists]
    for exclusion in lists:
        messaging_kept_off.load_suppressed(
            scope, stage_name(campaign.id, "suppressed"), exclusion, data_date, stand=profiles
        )
        messaging_kept_off.load_without_device(scope, stage_name(campaign.id, "suppressed"), exclusion, data_date)
    rules, reading = campaign.plan.rules, Reading(scope, run_channels, data_date, profiles)
    parameters: dict[str, Any] = {"data_date": data_date, "series": campaign.series_id, "cuts": cuts(shares)}
    parameters |= {f"excluded_{n}": group for n, group in enumerate(rules.exclude_target_group_ids)}
    hold_out = hold_outs.hold_out_on(scope, campaign.send_date)
    parameters |= hold_outs.hold_out_parameters(hold_out) if hold_out else {}
    members, columns = _members(campaign), reaching.profile_columns(scope, run_channels)
    sharing = _sharing(scope, campaign, run_channels, data_date, reading)
    may_share = _may_share(scope, run_channels, data_date, reading)
    is_shared = may_share and sharing.find(members, columns, **parameters)
    kept_back = {eligibility.HELD_OUT: hold_outs.held_out_sql("member.customer_id")} if hold_out else {}
    if hold_out and may_share:
        of_held_out = sharing.of_held_out(
            columns,
            hold_outs.held_out_sql("customer_id"),
            data_date=data_date,
            **hold_outs.hold_out_parameters(hold_out),
        )
        kept_back[eligibility.HELD_OUT_ADDRESS] = of_held_out
    faults = [reaching.fault_sql(channel, lists, suppressed, reading, "member.customer_id") for channel in run_channels]
    divides = OF_SERIES if campaign.plan.rules.keeps_groups else OF_RUN
    unit = sharing.unit if is_shared else "member.customer_id"
    times = own_times(scope, campaign, data_date, places)
    statement = queries.FILL_STAGE.format(
        stage=stage,
        members=members,
        columns=columns + times.columns,
        own_times=times.with_sql,
        habits=times.join,
        group=group_at_sql(run_part_sql(divides, unit), "{cuts:Array(UInt32)}"),
        lot=run_lot_sql(divides, unit),
        addresses=sharing.hashes if is_shared else "[]",
        **_kept_out(rules, reading, kept_back),
        faults=_chosen(campaign.plan.groups, places, faults),
        reachable=_reachable(places),
    )
    kept_off = {
        f"{exclusion.channel_id}/{group}": state for exclusion, state in list_states for group in exclusion.groups
    }
    return StagePlan(statement, parameters | times.parameters, sharing, is_shared, kept_off, times)


def fill_stage(
    scope: Scope,
    campaign: Occurrence,
    stage_plan: StagePlan,
    places: Sequence[Place],
    shares: Sequence[float],
    parameters: Mapping[str, Any],
) -> str:
    """Fill the stage of a run whose turn has come; answers SQL of its rows with control drawn.

    parameters: the values that other runs decide on, and those of the run itself.
    """
    stage = identifier(stage_name(campaign.id))
    for part in scope.warehouse.customer_slices(*queries.STAGE_READS, *stage_plan.own_times.tables):
        part.execute(stage_plan.statement, **stage_plan.parameters, **parameters)
    if stage_plan.is_shared:
        stage_plan.sharing.skip(stage, _reachable(places))
    return drawn(
        scope, stage, campaign.plan.with_shares(shares), _alike(scope, campaign, places), is_shared=stage_plan.is_shared
    )


def _may_share(scope: Scope, run_channels: Sequence[Channel], data_date: date, reading: Reading) -> bool:
    """Whether members of a run may share an address, which all runs of a day find out at once where that is cheap."""
    addresses = {channel.address_attribute for channel in run_channels} - {OWN_ID}
    if not all(map(reading.is_plain, addresses)):
        return True
    return bool(addresses) and not survey.nobody_shares(scope, data_date, addresses, reading.profiles)


def _sharing(
    scope: Scope, campaign: Occurrence, run_channels: Sequence[Channel], data_date: date, reading: Reading
) -> SharedAddresses:
    """Who of a run shares an address with whom, to be found; its tables are those of the run."""
    prefix = stage_name(campaign.id)
    addresses = {
        channel.address_attribute: f"profile.{profile_alias(channel.address_attribute)}" for channel in run_channels
    }
    addresses.pop(OWN_ID, None)
    not_plain = [name for name in addresses if not reading.is_plain(name)]
    domains = decoded(scope, prefix, _stored(scope, not_plain), data_date)
    keys = {
        name: channel_addresses.key_sql(column, domains, plain=reading.is_plain(name))
        for name, column in addresses.items()
    }
    return SharedAddresses(scope, prefix, [keys.get(channel.address_attribute, "") for channel in run_channels])


def _stored(scope: Scope, names: Sequence[str]) -> list[str]:
    """SQL of the texts of attributes as a profile has them."""
    return [attributes.rendered(info) for info in attributes.find(scope, names)]


def drop_stage(scope: Scope, campaign_id: int) -> None:
    """Drop every table aside of a run."""
    stage_tables = [identifier(stage_name(campaign_id, suffix)) for suffix in ("stage", "suppressed")]
    tables = [*stage_tables, *SharedAddresses(scope, stage_name(campaign_id), ()).tables]
    scope.warehouse.execute(queries.NO_TABLE.format(table=", ".join(tables)))


def _alike(scope: Scope, campaign: Occurrence, places: Sequence[Place]) -> list[list[int]]:
    return alike(campaign.plan.groups, purposes_of_templates(scope, {place.channel_id for place in places}))


def _lists(scope: Scope, places: Sequence[Place]) -> list[KeptOff]:
    """The lists that a run needs, each with the recipient groups that it is for."""
    purposes = purposes_of_templates(scope, {place.channel_id for place in places})
    groups: dict[tuple[int, Purpose], list[int]] = defaultdict(list)
    for place in places:
        groups[place.channel_id, purposes.get((place.channel_id, place.template_id), ANYTHING)].append(place.group)
    return [
        KeptOff(number, *key, tuple(sorted(group_numbers)))
        for number, (key, group_numbers) in enumerate(sorted(groups.items()))
    ]


def _members(campaign: Occurrence) -> str:
    if campaign.is_one_time:
        return queries.LIST_MEMBERS.format(number=int(campaign.plan.customer_list_id or 0)) + " ORDER BY customer_id"
    return queries.GROUP_MEMBERS.format(number=int(campaign.target_group_id))


def _kept_out(rules: PlannedRules, reading: Reading, kept_back: Mapping[eligibility.Rule, str]) -> dict[str, str]:
    """SQL of the first rule that keeps a member out, as a number from 1, and of outcomes and reasons by it."""
    tests: dict[eligibility.Rule, list[tuple[str, Any]]] = {
        eligibility.UNKEPT: [(reaching.unkept("member.customer_id"), None)],
        eligibility.UNKNOWN: [("profile.known_id = ''", None)],
        **{rule: [(test, None) for test in flags] for rule, flags in reaching.flagged(reading).items()},
        **{rule: [(test, None)] for rule, test in kept_back.items()},
        eligibility.IN_GROUP: [(_in_group(n), int(group)) for n, group in enumerate(rules.exclude_target_group_ids)],
        eligibility.RUNNING: [] if rules.include_all else [(queries.IN_RUNNING, None)],
        eligibility.CAPPED: [(queries.OVER_CAP, None)] if rules.frequency_cap else [],
    }
    ordered = [
        (sql, *rule.outcome_and_reason(value))
        for rule, rule_tests in eligibility.in_order(tests)
        for sql, value in rule_tests
    ]
    return {
        "kept_out": "".join(f"{sql}, {number}, " for number, (sql, *_) in enumerate(ordered, start=1)),
        "outcomes": ", ".join(literal(outcome) for _, outcome, _ in ordered),
        "reasons": ", ".join(literal(reason) for *_, reason in ordered),
    }


def _in_group(n: int) -> str:
    """SQL of whether a member is in the n-th group that a run excludes."""
    return (
        "member.customer_id IN (SELECT customer_id FROM target_group_members "
        f"WHERE data_date = {{data_date:Date}} AND target_group_id = {{excluded_{n}:UInt32}})"
    )


def _chosen(groups: Sequence[PlannedGroup], places: Sequence[Place], faults: Sequence[str]) -> str:
    """The faults of the run's channels: those of reaching, and of groups that take the first channel the others'."""
    of_channels = f"[{', '.join(faults)}]"
    position = {(place.group, place.channel_id): place.position for place in places}
    passed_over: dict[int, list[str]] = defaultdict(list)
    for number, group in enumerate(groups, start=1):
        if group.channel_choice is ChannelChoice.FIRST:
            before: list[str] = []
            for channel in group.channels:
                place = position[number, channel.channel_id]
                if before:
                    passed_over[place].append(f"grp = {number} AND ({' OR '.join(before)})")
                before.append(f"reach[{place}] = 0")
    if not passed_over:
        return of_channels
    chosen = (
        f"if(reach[{place}] = 0 AND ({' OR '.join(passed_over[place])}), toUInt8({ELSEWHERE}), reach[{place}])"
        if place in passed_over
        else f"reach[{place}]"
        for place in range(1, len(faults) + 1)
    )
    return f"{of_channels} AS reach, [{', '.join(chosen)}]"


def _reachable(places: Sequence[Place]) -> str:
    """Whether at least one channel of the customer's group reaches it."""
    groups = sorted({place.group for place in places})
    branches = []
    for group in groups:
        tests = (f"faults[{place.position}] = 0" for place in places if place.group == group)
        branches.append(f"grp = {group}, {' OR '.join(tests)}")
    return f"multiIf({', '.join(branches)}, false)"

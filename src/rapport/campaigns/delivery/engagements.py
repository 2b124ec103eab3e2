"""Engagements: what one group of a campaign gets on a channel, as files for whoever sends it.

The engine itself writes the customers as Avro; every file is encrypted with the engagement's own key before it
reaches the disk. The names of the files follow the reference.
"""

# ruff: noqa: S608 - statements are put together of constants and checked identifiers

import base64
import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.audiences import groups
from rapport.campaigns.definitions import action
from rapport.campaigns.delivery import copying, file_names, sealed
from rapport.campaigns.delivery.units import Unit, row_of, unit_of
from rapport.campaigns.delivery.webhooks import FILES_READY, ChannelWebhook, webhook
from rapport.campaigns.models import Engagement, OccurrenceChannel
from rapport.campaigns.occurrences import locked, occurrence
from rapport.campaigns.publishing.rewards import GIVEN, keys_among
from rapport.campaigns.runs import queries
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import RunState
from rapport.channels import service as channels
from rapport.conditions.outcomes import Outcome
from rapport.customers import attributes
from rapport.errors import Forbidden, NotFound
from rapport.messaging import templates
from rapport.notifications import service as notifications
from rapport.notifications.secret_members import SecretMember, SecretMembers
from rapport.stores.records import next_id
from rapport.stores.warehouse import identifier

KEY_MEMBER = "DecryptionKey"
PATH = re.compile(
    r"(?P<folder>[^/]+-(?P<id>\d{1,9}))/(metadata_(?P=id)|customers/customers_file\d{3,6}\.deflate\.avro)"
)

UnitKey = tuple[int, int, int]  # campaign, channel, recipient group

# Both tables are in order of customers, so that a range of them costs what it holds.
RANGE = "AND customer_id > {low:String} AND customer_id <= {high:String}"


def _listed(within: str = "") -> str:
    """The recipients of a unit, without those to whom nothing is sent: persons who were erased before it."""
    return f"""
        {queries.UNIT} {within}
            AND customer_id NOT IN (
                SELECT customer_id FROM campaign_outcomes
                WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
                    AND channel_id = {{channel:UInt32}} AND outcome != '{Outcome.SENT}' {within}
            )
    """


FILE_ENDS = f"""
    SELECT customer_id, whole FROM (
        SELECT customer_id, row_number() OVER (ORDER BY customer_id) AS n, count() OVER () AS whole {_listed()}
    ) WHERE n % {{rows:UInt32}} = 0 OR n = whole ORDER BY n
"""
CUSTOMERS = f"""
    SELECT recipient.customer_id AS CustomerID,
        if(own.promo_code = '', recipient.promo_code, own.promo_code) AS PromoCode,
        formatDateTime(recipient.scheduled_time, '%Y-%m-%d %H:%i:%S') AS ScheduledTime COLUMNS
    FROM (SELECT customer_id, toString(promo_code) AS promo_code, scheduled_time {_listed(RANGE)}) AS recipient
    LEFT JOIN (SELECT * FROM profiles WHERE data_date = {{data_date:Date}} {RANGE}) AS profile
        ON profile.customer_id = recipient.customer_id
    LEFT ANY JOIN (
        SELECT customer_id, promo_code FROM campaign_codes
        WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
            AND channel_id = {{channel:UInt32}} {RANGE}
    ) AS own ON own.customer_id = recipient.customer_id
    REWARDS
    ORDER BY recipient.customer_id
"""
OF_REWARDS = f"LEFT JOIN ({GIVEN}) AS reward ON reward.customer_key = lowerUTF8(recipient.customer_id)"


def hand_over(scope: Scope, unit: Unit) -> None:
    """Write the files of a unit whose channel has a webhook, and tell event 14 unless it is canceled. Repeatable."""
    hook = webhook(scope, unit.channel_id)
    if hook is None:
        return
    drop_old(scope)
    engagement = _engagement(scope, unit, hook)
    files, customer_count = _write(scope, unit, hook, engagement)
    copying.begin(scope, engagement.id, files)
    payload = {
        "CampaignID": unit.campaign.id,
        "EngagementID": engagement.id,
        "TenantID": scope.tenant_id,
        "BucketName": bucket(scope),
        "CustomersFolderPath": f"{engagement.folder}/customers",
        "MetadataFilePath": f"{engagement.folder}/metadata_{engagement.id}",
        KEY_MEMBER: "",
        "ChannelID": unit.channel_id,
    }
    with scope.records() as session:
        stored = session.get_one(Engagement, (scope.tenant_id, engagement.id))
        stored.files, stored.customers = files, customer_count
        if locked(scope, session, unit.campaign.id).state != RunState.CANCELED:
            notifications.notify(
                scope, session, FILES_READY, payload, f"14:{engagement.id}", channel_id=unit.channel_id
            )


def _key(scope: Scope, payload: Mapping[str, Any]) -> str:
    """The key of the files that a payload of event 14 tells of; empty once they are not kept any more."""
    with scope.reads() as session:
        engagement = session.get(Engagement, (scope.tenant_id, payload.get("EngagementID", 0)))
    return engagement.key if engagement else ""


SECRET_MEMBERS: SecretMembers = {FILES_READY: SecretMember(KEY_MEMBER, _key)}


def bucket(scope: Scope) -> str:
    """The name under which a tenant's files are asked for."""
    return f"rapport-{scope.tenant_id}"


def _engagement(scope: Scope, unit: Unit, hook: ChannelWebhook) -> Engagement:
    """The engagement of a unit, made once."""
    query = select(Engagement).where(
        Engagement.tenant_id == scope.tenant_id,
        Engagement.campaign_id == unit.campaign.id,
        Engagement.channel_id == unit.channel_id,
        Engagement.recipient_group_id == unit.group,
    )
    with scope.records() as session:
        if engagement := session.scalar(query):
            return engagement
        number = next_id(session, scope.tenant_id, "engagement")
        statement = insert(Engagement).values(
            tenant_id=scope.tenant_id,
            id=number,
            campaign_id=unit.campaign.id,
            channel_id=unit.channel_id,
            recipient_group_id=unit.group,
            folder=f"{scope.now_local():%Y-%m-%d %H%M} {hook.name}-{unit.channel_id}-{number}",
            key=base64.b64encode(secrets.token_bytes(sealed.KEY_BYTES)).decode(),
            created_at=scope.clock.now(),
        )
        session.execute(statement.on_conflict_do_nothing())
        return session.scalars(query).one()


def _write(scope: Scope, unit: Unit, hook: ChannelWebhook, engagement: Engagement) -> tuple[int, int]:
    """Write an engagement's files: how many of customers there are, and how many customers."""
    key, home = base64.b64decode(engagement.key), sealed.home(scope, engagement.folder)
    customers_sql = _customers_sql(scope, hook)
    parts = scope.warehouse.customer_slices(*queries.ACCOUNT)
    file_ends = [part.rows(FILE_ENDS, rows=hook.rows_per_file, **unit.bindings) for part in parts]
    ends = [str(high) for rows in file_ends for high, _ in rows]
    low = ""
    for number, high in enumerate(ends, start=1):
        body = scope.warehouse.avro(customers_sql, data_date=scope.data_date(), low=low, high=high, **unit.bindings)
        sealed.write(home / file_names.customers(number), body, key)
        low = high
    customer_count = sum(int(rows[0][1]) for rows in file_ends if rows)
    metadata = orjson.dumps(_metadata(scope, unit, hook, engagement.id, len(ends), customer_count))
    sealed.write(home / file_names.metadata(engagement.id), metadata, key)
    return len(ends), customer_count


def _customers_sql(scope: Scope, hook: ChannelWebhook) -> str:
    """The SELECT of the customers of a file with what the webhook names, in its order: attributes and rewards.

    Names of members are of letters, digits and underscores in Avro, so that a reward is REWARD_KEY.
    """
    keys, columns = keys_among(hook.attributes), ""
    infos = iter(attributes.find(scope, [name for place, name in enumerate(hook.attributes) if place not in keys]))
    for place in range(len(hook.attributes)):
        if place in keys:
            name = identifier(f"REWARD_{keys[place]}")
            columns += f", JSONExtract(reward.given, '{keys[place]}', 'Nullable(String)') AS {name}"
        else:
            info = next(infos)
            name = identifier(info.real_field_name)
            columns += f", {attributes.rendered(info, f'profile.{name}')} AS {name}"
    return CUSTOMERS.replace("COLUMNS", columns).replace("REWARDS", OF_REWARDS if keys else "")


def _metadata(
    scope: Scope, unit: Unit, hook: ChannelWebhook, number: int, files: int, customer_count: int
) -> dict[str, Any]:
    """What the reference says of an engagement; times are UTC."""
    with scope.reads() as session:
        row = row_of(scope, session, unit)
        account = session.get_one(Tenant, scope.tenant_id).name
    return {
        "AccountName": account,
        "ActionID": row.action_id,
        "ActionName": action(scope, row.action_id).name,
        "CampaignID": unit.campaign.id,
        "CampaignPlanID": unit.campaign.series_id,
        "ChannelID": unit.channel_id,
        "ChannelName": channels.channel(scope, unit.channel_id).name,
        "Duration": unit.campaign.duration,
        "EmailAddresses": [],
        "EngagementID": number,
        "EngagementTimezone": str(scope.time_zone),
        "Identifier": "CustomerID",
        "InternalAccountID": scope.tenant_id,
        "NumberOfCustomers": customer_count,
        "NumberOfFiles": files,
        "PlanDetailChannelID": unit.group,
        "Promotions": row.promo_code,
        "ScheduledTime": f"{scope.instant(row.scheduled_time):%Y-%m-%dT%H:%M:%SZ}",
        "Tags": ",".join(unit.campaign.tags),
        "TargetGroupName": _group_name(scope, unit.campaign.target_group_id),
        "TemplateID": row.template_id,
        "TemplateName": _template_name(scope, row),
        "WebhookAttributes": hook.attributes,
    }


def _group_name(scope: Scope, group_id: int) -> str:
    """The name of a target group; a one-time campaign has none."""
    return groups.target_group(scope, group_id).name if group_id else ""


def _template_name(scope: Scope, row: OccurrenceChannel) -> str:
    """The name of a template, which an outside system need not have registered."""
    try:
        return templates.template(scope, row.channel_id, row.template_id).name
    except NotFound:
        return ""


def read_file(scope: Scope, asked_bucket: str, path: str, key: str) -> bytes:
    """A file of one of the tenant's engagements, decrypted. Raises NotFound (also once its campaign was canceled),
    and Forbidden for another key.
    """
    match = PATH.fullmatch(path)
    missing = NotFound("There is no such file, or it is not kept any more.")
    if asked_bucket != bucket(scope) or match is None:
        raise missing
    with scope.reads() as session:
        engagement = session.get(Engagement, (scope.tenant_id, int(match["id"])))
    if engagement is None or not engagement.key or engagement.folder != match["folder"]:
        raise missing
    if occurrence(scope, engagement.campaign_id).state == RunState.CANCELED:
        raise missing
    if not hmac.compare_digest(engagement.key.encode(), key.encode()):
        raise Forbidden("X-Decryption-Key is not the key of these files.")
    body = sealed.read(
        sealed.home(scope, engagement.folder) / path.removeprefix(f"{engagement.folder}/"), base64.b64decode(key)
    )
    if body is None:
        raise missing
    return body


def drop_old(scope: Scope) -> None:
    """Delete the files of engagements that are older than the tenant keeps them."""
    before = scope.clock.now() - timedelta(days=tenant_settings(scope, CampaignSettings).engagement_days)
    with scope.records() as session:
        query = select(Engagement).where(Engagement.tenant_id == scope.tenant_id, Engagement.created_at < before)
        for engagement in session.scalars(query.where(Engagement.key != "")):
            sealed.drop(sealed.home(scope, engagement.folder))
            engagement.key = ""
            copying.withdraw(scope, engagement)


def write_again(scope: Scope, places: Collection[UnitKey]) -> None:
    """Write kept files of units anew from the accounts, in which a person was erased."""
    query = select(Engagement).where(Engagement.tenant_id == scope.tenant_id, Engagement.key != "")
    with scope.reads() as session:
        kept_engagements = list(session.scalars(query))
    for engagement in kept_engagements:
        unit_key = (engagement.campaign_id, engagement.channel_id, engagement.recipient_group_id)
        if unit_key not in places:
            continue
        hook = webhook(scope, engagement.channel_id)
        if hook is None:
            sealed.drop(sealed.home(scope, engagement.folder))
            copying.end(scope, engagement.id)
        else:
            _write(scope, unit_of(scope, occurrence(scope, unit_key[0]), *unit_key[1:]), hook, engagement)
            copying.renew(scope, engagement.id)

"""How customers may be contacted on a channel, as its vendor reports, and who of some must not be written to there.

A preference is of a whole channel (app_id empty) or of one app of it. Who opted out of the channel gets
nothing on it; who opted out of an app gets no message of a template that belongs to the app. Neither
changes the other. Ids of apps and of customers compare ignoring case. Topics are told apart the same way: see
topic_wishes.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import select, text

from rapport.access import kept
from rapport.access.pseudonyms import pseudonym, pseudonyms
from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.errors import Invalid
from rapport.messaging import queries
from rapport.messaging.contactability import consent_log, suppressed_addresses, topic_wishes
from rapport.messaging.contactability.consent_log import Changed
from rapport.messaging.contactability.exclusions import EXCLUDED, STANDS
from rapport.messaging.contactability.purposes import ANYTHING, Purpose
from rapport.messaging.contactability.suppressed_addresses import NOT_SUBSCRIBED, OPTED_OUT_OF_CHANNEL, SUPPRESSED
from rapport.messaging.contactability.suppressions import MAX_CUSTOMER_ID
from rapport.messaging.models import ERASED, EVERY_CHANNEL, ChannelPreference, WishSource

MAY_BE_CONTACTED, OPTED_OUT = 1, 2
MODES = (MAY_BE_CONTACTED, OPTED_OUT)

# Keys are ids in lower case and, for erased persons, pseudonyms. Each is found by the primary keys, however
# many rows a channel has.
UNREACHABLE = f"""
    SELECT customer_key, '{OPTED_OUT_OF_CHANNEL}' FROM channel_preferences
    WHERE tenant_id = :tenant_id AND channel_id = :channel_id AND app_key = ANY(CAST(:apps AS text[]))
        AND customer_key = ANY(CAST(:keys AS text[])) AND mode = {OPTED_OUT}
    UNION ALL
    SELECT customer_key, '{SUPPRESSED}' FROM suppressions
    WHERE tenant_id = :tenant_id AND customer_key = ANY(CAST(:keys AS text[]))
        AND channel_id IN ({EVERY_CHANNEL}, :channel_id)
    UNION ALL
    SELECT customer_key, '{EXCLUDED}' FROM exclusions
    WHERE tenant_id = :tenant_id AND customer_key = ANY(CAST(:keys AS text[])) AND {STANDS}
    UNION ALL
    SELECT customer_key, '{NOT_SUBSCRIBED}' FROM topic_subscriptions
    WHERE tenant_id = :tenant_id AND topic_id = :topic_id AND wire_channel_id = :wire_channel_id
        AND customer_key = ANY(CAST(:keys AS text[])) AND NOT subscribed
"""  # noqa: S608 - constants only

# In order of the key, so that two callers with the same customers wait for each other and never lock up.
SET = """
    INSERT INTO channel_preferences
        (tenant_id, channel_id, app_key, customer_key, app_id, customer_id, mode, updated_at)
    SELECT :tenant_id, :channel_id, :app_key, key, :app_id, id, :mode, :at
    FROM unnest(CAST(:keys AS text[]), CAST(:ids AS text[])) AS named (key, id)
    ORDER BY key
    ON CONFLICT (tenant_id, channel_id, app_key, customer_key) DO UPDATE SET mode = :mode, updated_at = :at
    WHERE channel_preferences.mode != :mode
    RETURNING customer_key
"""
# What an erased person said before gives way to what the vendor reports now.
REPLACE_ERASED = """
    DELETE FROM channel_preferences AS preference USING unnest(CAST(:marks AS text[])) AS named (mark)
    WHERE preference.tenant_id = :tenant_id AND preference.channel_id = :channel_id AND preference.app_key = :app_key
        AND preference.customer_key = named.mark
"""


# An exclusion is told rather than a suppression, and that rather than a preference: max() picks it by the alphabet.
KEPT_OFF = f"""
    SELECT max(customer_id), customer_key, max(reason)
    FROM (
        SELECT customer_id, customer_key, '{OPTED_OUT_OF_CHANNEL}' AS reason FROM channel_preferences
        WHERE tenant_id = :tenant_id AND channel_id = :channel_id AND app_key = ANY(CAST(:apps AS text[]))
            AND mode = {OPTED_OUT}
        UNION ALL
        SELECT customer_id, customer_key, '{SUPPRESSED}' FROM suppressions
        WHERE tenant_id = :tenant_id AND channel_id IN ({EVERY_CHANNEL}, :channel_id)
        UNION ALL
        SELECT customer_id, customer_key, '{EXCLUDED}' FROM exclusions WHERE tenant_id = :tenant_id AND {STANDS}
        UNION ALL
        SELECT customer_id, customer_key, '{NOT_SUBSCRIBED}' FROM topic_subscriptions
        WHERE tenant_id = :tenant_id AND topic_id = :topic_id AND wire_channel_id = :wire_channel_id AND NOT subscribed
    ) AS kept_off
    GROUP BY customer_key
"""  # noqa: S608 - constants only

# Sums of hashes: what stands is told apart without bringing it here, in whatever order.
DIGEST = f"""
    SELECT count(*), sum(hashtextextended(text, 0)) FROM (
        SELECT 'p ' || app_key || ' ' || customer_key || ' ' || customer_id AS text FROM channel_preferences
        WHERE tenant_id = :tenant_id AND channel_id = :channel_id AND app_key = ANY(CAST(:apps AS text[]))
            AND mode = {OPTED_OUT}
        UNION ALL
        SELECT 's ' || channel_id || ' ' || customer_key || ' ' || customer_id FROM suppressions
        WHERE tenant_id = :tenant_id AND channel_id IN ({EVERY_CHANNEL}, :channel_id)
        UNION ALL
        SELECT 'a ' || channel_id || ' ' || app_key || ' ' || mark || ' ' || listed FROM suppressed_addresses
        WHERE tenant_id = :tenant_id AND channel_id IN ({EVERY_CHANNEL}, :channel_id)
            AND app_key = ANY(CAST(:apps AS text[]))
        UNION ALL
        SELECT 'e ' || customer_key || ' ' || customer_id FROM exclusions WHERE tenant_id = :tenant_id AND {STANDS}
        UNION ALL
        SELECT 't ' || subscribed || ' ' || customer_key || ' ' || customer_id FROM topic_subscriptions
        WHERE tenant_id = :tenant_id AND topic_id = :topic_id AND wire_channel_id = :wire_channel_id
    ) AS said
"""  # noqa: S608 - constants only


def digest(scope: Scope, channel_id: int, purpose: Purpose = ANYTHING) -> str:
    """A text that changes with what was said against a channel, or a purpose on it, by whom and of which addresses.

    Empty when nobody said anything.
    """
    parameters = _of_purpose(scope, channel_id, purpose)
    with scope.stores.records.reading() as connection:
        number, hashes = connection.execute(text(DIGEST), parameters).one()
    return f"{number} {hashes}" if number else ""


def _of_purpose(scope: Scope, channel_id: int, purpose: Purpose) -> dict[str, Any]:
    """What the statements about a purpose on a channel bind."""
    topic = {"topic_id": purpose.topic_id, "wire_channel_id": purpose.wire_channel_id}
    place = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "apps": purpose.keys}
    return {**place, **topic, "now": scope.clock.now()}


def suppressions(scope: Scope, channel_id: int, purpose: Purpose = ANYTHING) -> pa.Table:
    """Who gets nothing on a channel, or of a purpose on it: columns customer_id and reason, each customer once.

    Who would have to subscribe to a topic and has said nothing is not among them.
    """
    parameters = _of_purpose(scope, channel_id, purpose)
    with scope.stores.records.reading() as connection:
        rows = connection.execute(text(KEPT_OFF), parameters).all()
    reasons_by_key = {key: (customer_id, reason) for customer_id, key, reason in rows if customer_id != ERASED}
    for reason in (OPTED_OUT_OF_CHANNEL, NOT_SUBSCRIBED, SUPPRESSED, EXCLUDED):
        marks = sorted(key for customer_id, key, why in rows if customer_id == ERASED and why == reason)
        # What was said of somebody who came back under the id counts besides what was said before.
        for returned in queries.known(scope, marks):
            present = reasons_by_key.get(returned.lower(), (returned, reason))
            reasons_by_key[returned.lower()] = (present[0], max(present[1], reason))
    ids, reasons = zip(*sorted(reasons_by_key.values()), strict=True) if reasons_by_key else ((), ())
    return pa.table({"customer_id": pa.array(ids, pa.string()), "reason": pa.array(reasons, pa.string())})


def unreachable(
    scope: Scope,
    channel_id: int,
    customer_ids: Sequence[str],
    purpose: Purpose = ANYTHING,
    addresses: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Who of these must not be written to on a channel: the reason by id as given. purpose is that of the template.

    addresses, by id as given, are where messages of the channel would go: an address of which somebody else said no
    gets nothing either. Fit for single customers and for thousands. Ids compare ignoring case.
    """
    by_key: dict[str, list[str]] = defaultdict(list)
    for customer_id, mark in zip(customer_ids, pseudonyms(scope, customer_ids), strict=True):
        by_key[customer_id.lower()].append(customer_id)
        by_key[mark].append(customer_id)
    parameters = {**_of_purpose(scope, channel_id, purpose), "keys": list(by_key)}
    with scope.stores.records.reading() as connection:
        rows = connection.execute(text(UNREACHABLE), parameters).all()
    reasons = suppressed_addresses.among(scope, channel_id, purpose, addresses or {})
    absent = topic_wishes.not_subscribed(scope, purpose, customer_ids) if purpose.opt_in else []
    for key, reason in [*rows, *((key, NOT_SUBSCRIBED) for key in absent)]:
        for customer_id in by_key[key]:
            reasons[customer_id] = max(reason, reasons.get(customer_id, ""))
    return reasons


def set_preference(
    scope: Scope, channel_id: int, customer_ids: Sequence[str], mode: int, app_id: str | None = None
) -> None:
    """Store how customers may be contacted on a channel, or one app of it: 1 yes, 2 opted out. Repeats are welcome.

    Customers need not be known. Raises Invalid, also for a channel that there is not.
    """
    if channel_id not in {channel.id for channel in channels.channels(scope)}:
        raise Invalid(f"ChannelID: there is no channel {channel_id}.")
    if mode not in MODES:
        raise Invalid("CommunicationMode must be 1 (may be contacted) or 2 (opted out).")
    by_key = {customer_id.lower(): customer_id for customer_id in customer_ids}
    if any(not customer_id.strip() or len(customer_id) > MAX_CUSTOMER_ID for customer_id in by_key):
        raise Invalid(f"CustomerIDs must each have 1 to {MAX_CUSTOMER_ID} characters.")
    app = app_id or ""
    key: dict[str, Any] = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "app_key": app.lower()}
    values = {"keys": list(by_key), "ids": list(by_key.values()), "app_id": app, "mode": mode, "at": scope.clock.now()}
    marks = pseudonyms(scope, by_key)
    kept.keep_wish(scope, kept.PREFERENCE, {"channel": channel_id, "app": app, "mode": mode}, marks)
    with scope.records() as session:
        session.execute(text(REPLACE_ERASED), {**key, "marks": marks})
        changed = session.execute(text(SET), {**key, **values}).scalars().all()
        agreed, source = mode == MAY_BE_CONTACTED, WishSource.VENDOR
        changes = [Changed(str(changed_key), by_key[changed_key], channel_id, agreed) for changed_key in changed]
        consent_log.note(scope, session, changes, source, f"app {app}" if app else "")
        channel_and_app = (channel_id, app.lower())
        if mode == OPTED_OUT:
            suppressed_addresses.keep(scope, session, channel_and_app, OPTED_OUT_OF_CHANNEL, list(by_key.values()))
        else:
            suppressed_addresses.forgo(scope, session, channel_and_app, OPTED_OUT_OF_CHANNEL, [*by_key, *marks])
        scope.audit(session, "preference", f"channel {channel_id}", app=app_id, mode=mode, customers=len(by_key))


def preferences(scope: Scope, customer_id: str) -> list[ChannelPreference]:
    """What is stored of one person, also after an erasure, by channel and app."""
    keys = [customer_id.lower(), pseudonym(scope, customer_id)]
    statement = select(ChannelPreference).where(
        ChannelPreference.tenant_id == scope.tenant_id, ChannelPreference.customer_key.in_(keys)
    )
    with scope.reads() as session:
        return list(session.scalars(statement.order_by(ChannelPreference.channel_id, ChannelPreference.app_key)))

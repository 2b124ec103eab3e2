"""What customers are subscribed to: which topics of a brand group, on which channels by their numbers on the wire."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access import kept
from rapport.access.pseudonyms import pseudonym, pseudonyms
from rapport.access.scope import Scope
from rapport.customers.privacy import persons as customer_persons
from rapport.customers.writes import attribute_writes
from rapport.errors import Invalid, NotFound
from rapport.messaging import queries
from rapport.messaging.contactability import consent_log, suppressed_addresses
from rapport.messaging.contactability.consent_log import Changed
from rapport.messaging.contactability.purposes import topic_key
from rapport.messaging.contactability.suppressed_addresses import NOT_SUBSCRIBED
from rapport.messaging.contactability.suppressions import MAX_CUSTOMER_ID
from rapport.messaging.models import ERASED, EVERY_CHANNEL, BrandGroup, Topic, TopicSubscription, WishSource
from rapport.messaging.topics import brand_groups
from rapport.messaging.topics import topics as group_topics
from rapport.messaging.topics.brand_groups import guid

# In order of the key, so that two callers with the same customer wait for each other and never lock up.
SET = text("""
    INSERT INTO topic_subscriptions
        (tenant_id, topic_id, wire_channel_id, customer_key, customer_id, subscribed, updated_at)
    SELECT :tenant_id, topic, channel, :key, :id, yes, :at
    FROM unnest(CAST(:topics AS text[]), CAST(:channels AS integer[]), CAST(:subscribed AS boolean[]))
        AS said (topic, channel, yes)
    ORDER BY topic, channel
    ON CONFLICT (tenant_id, topic_id, wire_channel_id, customer_key) DO UPDATE
        SET subscribed = excluded.subscribed, updated_at = excluded.updated_at
    WHERE topic_subscriptions.subscribed <> excluded.subscribed
""")
DROP_KEYS = text("""
    DELETE FROM topic_subscriptions
    WHERE tenant_id = :tenant_id AND topic_id = :topic_id AND wire_channel_id = :wire_channel_id AND NOT subscribed
        AND customer_key = ANY(CAST(:keys AS text[]))
""")
MARKED = text("""
    SELECT DISTINCT app_key FROM suppressed_addresses
    WHERE tenant_id = :tenant_id AND channel_id = :every_channel AND listed = :listed
        AND mark = ANY(CAST(:marks AS text[])) AND app_key = ANY(CAST(:places AS text[]))
""").bindparams(every_channel=EVERY_CHANNEL, listed=NOT_SUBSCRIBED)
Places = Collection[tuple[str, int]]  # a topic and a number of channels on the wire


@dataclass(frozen=True)
class TopicState:
    """A topic with the numbers of the channels on which a customer is subscribed to it, in order."""

    topic: Topic
    subscribed: tuple[int, ...]


@dataclass(frozen=True)
class Preferences:
    """What a customer is subscribed to in a brand group."""

    group: BrandGroup
    topics: tuple[TopicState, ...]


def preferences(scope: Scope, group_id: str, customer_id: str, *, with_hidden: bool = False) -> Preferences:
    """What a customer, known or not, is subscribed to; hidden topics only if asked for. Raises NotFound, Invalid."""
    checked_id(customer_id)
    group = brand_groups.brand_group(scope, group_id)
    shown = [topic for topic in group_topics.topics(scope, group.id) if with_hidden or not topic.hidden]
    numbers = brand_groups.numbers(group)
    subscribed = _subscribed(scope, shown, numbers, customer_id)
    states = (
        TopicState(topic, tuple(number for number in numbers if (topic.id, number) in subscribed)) for topic in shown
    )
    return Preferences(group, tuple(states))


def checked_id(customer_id: str) -> None:
    """Raises Invalid for a text that cannot be a CustomerID."""
    if not customer_id.strip() or len(customer_id.lower()) > MAX_CUSTOMER_ID or "\0" in customer_id:
        raise Invalid(f"customerId must have 1 to {MAX_CUSTOMER_ID} characters.")


def _subscribed(
    scope: Scope, topics: Sequence[Topic], numbers: Sequence[int], customer_id: str
) -> set[tuple[str, int]]:
    """At which places a customer is subscribed: as it said, or nobody who has its addresses, else by default."""
    said = _said(scope, customer_id)
    refused = _refused_by_address(scope, [topic for topic in topics if not topic.mandatory], numbers, customer_id)
    return {
        (topic.id, number)
        for topic in topics
        for number in numbers
        if topic.mandatory
        or ((topic.id, number) not in refused and said.get((topic.id, number), topic.subscribed_by_default))
    }


def _said(scope: Scope, customer_id: str) -> dict[tuple[str, int], bool]:
    """What a person said, also before an erasure; what was said last, under the id, comes before."""
    keys = [pseudonym(scope, customer_id), customer_id.lower()]
    mine = select(TopicSubscription).where(
        TopicSubscription.tenant_id == scope.tenant_id, TopicSubscription.customer_key.in_(keys)
    )
    with scope.reads() as session:
        rows = sorted(session.scalars(mine), key=lambda row: keys.index(row.customer_key))
    said: dict[tuple[str, int], bool] = {}
    for row in rows:
        said[row.topic_id, row.wire_channel_id] = row.subscribed
    return said


def _refused_by_address(
    scope: Scope, topics: Sequence[Topic], numbers: Sequence[int], customer_id: str
) -> set[tuple[str, int]]:
    """The places at which somebody with an address of a customer unsubscribed."""
    place_of = {topic_key(topic.id, number): (topic.id, number) for topic in topics for number in numbers}
    attributes = suppressed_addresses.address_attributes(scope, EVERY_CHANNEL)
    present = queries.addresses(scope, attributes, [customer_id]) if attributes and place_of else []
    marks = suppressed_addresses.marks_kept_of(scope, [address for _, address in present])
    parameters = {
        "tenant_id": scope.tenant_id,
        "marks": sorted({mark for of_address in marks for mark in of_address}),
        "places": sorted(place_of),
    }
    with scope.stores.records.reading() as connection:
        return {place_of[str(place)] for (place,) in connection.execute(MARKED, parameters)}


def set_subscriptions(
    scope: Scope,
    group_id: str,
    customer_id: str,
    wanted_channels: Mapping[str, Collection[int]],
    source: WishSource,
    wording: str = "",
    *,
    with_hidden: bool = False,
) -> None:
    """Let the channels (numbers on the wire) of each topic given be those on which a customer is subscribed to it.

    Topics that are not given stay as they are. What changes is entered in the log of consent with source and wording,
    which is what the person read. Raises NotFound for the group, and Invalid for a topic or a channel that is not of
    it, for a mandatory topic of which a channel would be missing, and for a CustomerID that cannot be one.
    """
    before = preferences(scope, group_id, customer_id, with_hidden=with_hidden)
    numbers = set(brand_groups.numbers(before.group))
    states = {state.topic.id: state for state in before.topics}
    changes: dict[tuple[str, int], bool] = {}
    for given_id, chosen in wanted_channels.items():
        state = states.get(_topic_id(given_id))
        if state is None:
            raise Invalid(f"topicId {given_id!r} is not a topic of the brand group.")
        if unknown := sorted(set(chosen) - numbers):
            raise Invalid(f"channelSubscription names channel {unknown[0]}, which is not a channel of the brand group.")
        if state.topic.mandatory and set(chosen) != numbers:
            raise Invalid(f"Topic {state.topic.name!r} is mandatory: nobody can unsubscribe from it.")
        changes |= {(state.topic.id, number): number in chosen for number in set(chosen) ^ set(state.subscribed)}
    if changes:
        _change(scope, customer_id, changes, source, wording)


def _topic_id(text: str) -> str:
    try:
        return guid(text)
    except NotFound:
        return ""


def _change(
    scope: Scope, customer_id: str, changes: Mapping[tuple[str, int], bool], source: WishSource, wording: str
) -> None:
    erased = customer_persons.is_erased(scope, customer_id)
    mark = pseudonym(scope, customer_id)
    spelled = attribute_writes.spelling(scope, customer_id) or customer_id
    key, stored_id = (mark, ERASED) if erased else (spelled.lower(), spelled)
    with scope.records() as session:
        _keep_wish(scope, mark, changes)
        enter(scope, session, key, stored_id, changes)
        for (topic_id, number), subscribed in sorted(changes.items()):
            place = topic_key(topic_id, number)
            if not subscribed and not erased:
                suppressed_addresses.keep(scope, session, (EVERY_CHANNEL, place), NOT_SUBSCRIBED, [spelled])
            elif subscribed:
                _let_in(scope, session, topic_id, number, spelled)
        log = [Changed(key, stored_id, number, yes, topic_id) for (topic_id, number), yes in sorted(changes.items())]
        consent_log.note(scope, session, log, source, wording)


def _let_in(scope: Scope, session: Session, topic_id: str, number: int, customer_id: str) -> None:
    """Let the addresses of a customer be written to; what others with one of them said against it ends, too."""
    shared = suppressed_addresses.let_in_at_topic(scope, session, topic_key(topic_id, number), [customer_id])
    others = set(shared) - {customer_id.lower()}
    topic = {"tenant_id": scope.tenant_id, "topic_id": topic_id, "wire_channel_id": number}
    session.execute(DROP_KEYS, {**topic, "keys": sorted(others)})


def enter(scope: Scope, session: Session, key: str, customer_id: str, changes: Mapping[tuple[str, int], bool]) -> None:
    """Write what one person, by key and id, is subscribed to."""
    ordered = sorted(changes.items())
    values = {
        "topics": [topic_id for (topic_id, _), _ in ordered],
        "channels": [number for (_, number), _ in ordered],
        "subscribed": [subscribed for _, subscribed in ordered],
    }
    person = {"key": key, "id": customer_id, "at": scope.clock.now()}
    session.execute(SET, {"tenant_id": scope.tenant_id, **person, **values})


def _keep_wish(scope: Scope, mark: str, changes: Mapping[tuple[str, int], bool]) -> None:
    for (topic_id, number), subscribed in sorted(changes.items()):
        wish = {"topic": topic_id, "number": number, "subscribed": subscribed}
        kept.keep_wish(scope, kept.TOPIC, wish, [mark])


def subscriptions_of(scope: Scope, customer_id: str) -> list[TopicSubscription]:
    """What is stored of one person, also after an erasure, by topic and channel."""
    keys = [customer_id.lower(), *pseudonyms(scope, [customer_id])]
    mine = select(TopicSubscription).where(
        TopicSubscription.tenant_id == scope.tenant_id, TopicSubscription.customer_key.in_(keys)
    )
    with scope.reads() as session:
        return list(session.scalars(mine.order_by(TopicSubscription.topic_id, TopicSubscription.wire_channel_id)).all())

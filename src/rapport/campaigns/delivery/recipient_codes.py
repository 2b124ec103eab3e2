"""The own codes of recipients of unique promo codes, where reads, files and exports find them.

Who gets a message of Rapport has the codes of the message, kept when it has ended. Who is on a list that an outside
system pulls gets them when the list is handed over: that is before anybody is told of the list. A code stays its own,
however often the list is prepared, and returns to the others when its customer leaves the list or the campaign is
canceled.
"""

# ruff: noqa: S608 - statements are put together of constants

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.delivery.units import Unit, row_of, rows_of_unit
from rapport.campaigns.models import Occurrence
from rapport.campaigns.runs import queries
from rapport.channels import service as channels
from rapport.conditions.outcomes import Outcome
from rapport.delivery.content import NO_CODE
from rapport.delivery.ids import message_id
from rapport.delivery.models import Source
from rapport.redemptions import allocation

AT_ONCE = 10_000
OF_UNIT = """
    execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32} AND channel_id = {channel:UInt32}
"""
WITHOUT_CODES = f"""
    SELECT customer_id, toString(promo_code) {queries.UNSENT} AND customer_id > {{low:String}}
        AND customer_id NOT IN (SELECT customer_id FROM campaign_codes WHERE {OF_UNIT})
    ORDER BY customer_id LIMIT {{at_once:UInt32}}
"""
# Whoever was sent nothing after all.
UNSENT = f"""
    SELECT DISTINCT customer_id FROM campaign_codes
    WHERE {OF_UNIT} AND customer_id > {{low:String}} AND customer_id IN (
        SELECT customer_id FROM campaign_outcomes WHERE {OF_UNIT} AND outcome != '{Outcome.SENT}'
    )
    ORDER BY customer_id LIMIT {{at_once:UInt32}}
"""
CHANNELS = """
    SELECT DISTINCT channel_id FROM campaign_codes
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32} ORDER BY channel_id
"""


def give(scope: Scope, unit: Unit) -> bool:
    """Give everybody on a unit's list the codes of its unique promo codes; whether codes were missing for some.

    These have failed then, and are to be taken off the list. May be repeated: codes are given once.
    """
    with scope.reads() as session:
        chosen = {row.promo_code for row in rows_of_unit(scope, session, unit)}
        if not any(allocation.has_unique(scope, session, codes) for codes in chosen):
            return False
    low, is_short = "", False
    while rows := scope.warehouse.rows(WITHOUT_CODES, low=low, at_once=AT_ONCE, **unit.bindings):
        asked = {str(customer_id): str(promo_code) for customer_id, promo_code in rows}
        codes = _allocated(scope, unit, asked)
        keep(scope, unit, {customer_id: own for customer_id, own in codes.items() if own is not None})
        missing = [customer_id for customer_id, own in codes.items() if own is None]
        if missing:
            is_short = True
            _fail(scope, unit, missing)
        low = max(asked)
    return is_short


def _allocated(scope: Scope, unit: Unit, asked: Mapping[str, str]) -> dict[str, str | None]:
    ids = {_id(scope, unit.campaign, unit.channel_id, customer_id): customer_id for customer_id in asked}
    messages = [allocation.Wanted(id, customer_id, asked[customer_id]) for id, customer_id in ids.items()]
    with scope.records() as session:
        codes = allocation.allocate(scope, session, unit.campaign.id, messages)
    return {ids[id]: own for id, own in codes.items()}


def _id(scope: Scope, campaign: Occurrence, channel_id: int, customer_id: str) -> str:
    return message_id(scope.tenant_id, Source.RUN, campaign.id, channel_id, customer_id)


def _fail(scope: Scope, unit: Unit, customer_ids: Sequence[str]) -> None:
    campaign, at = unit.campaign, scope.clock.now()
    names = ("execution_date", "campaign_id", "customer_id", "channel_id", "outcome", "reason", "batch", "recorded_at")
    place = (unit.channel_id, Outcome.FAILED, NO_CODE, unit.start, at)
    rows = [(campaign.execution_date, campaign.id, customer_id, *place) for customer_id in customer_ids]
    scope.warehouse.insert("campaign_outcomes", names, rows)


def keep(scope: Scope, unit: Unit, codes: Mapping[str, str]) -> None:
    """Keep what stands for the promo codes of recipients of a unit, by CustomerID."""
    campaign = unit.campaign
    rows = [
        (campaign.execution_date, campaign.id, customer_id, unit.channel_id, own) for customer_id, own in codes.items()
    ]
    if rows:
        names = ("execution_date", "campaign_id", "customer_id", "channel_id", "promo_code")
        scope.warehouse.insert("campaign_codes", names, rows)


def keep_of_messages(scope: Scope, unit: Unit, customers: Mapping[str, str]) -> None:
    """Keep the codes of messages of a unit that were sent: customers by message id. May be repeated."""
    with scope.reads() as session:
        chosen = row_of(scope, session, unit).promo_code
        if not customers or not allocation.has_unique(scope, session, chosen):
            return
    shown = allocation.shown(scope, unit.campaign.id, dict.fromkeys(customers, chosen))
    keep(scope, unit, {customers[id]: own for id, own in shown.items() if own != chosen})


def take_back(scope: Scope, session: Session, campaign: Occurrence, channel_id: int) -> None:
    """Free the codes of those on a list who were sent nothing, unless they have redeemed them. May be repeated."""
    place = {"execution_date": campaign.execution_date, "campaign": campaign.id, "channel": channel_id}
    low = ""
    while rows := scope.warehouse.rows(UNSENT, low=low, at_once=AT_ONCE, **place):
        customer_ids = [str(customer_id) for (customer_id,) in rows]
        ids = [_id(scope, campaign, channel_id, customer_id) for customer_id in customer_ids]
        allocation.take_back(scope, session, ids)
        low = customer_ids[-1]


def take_back_canceled(scope: Scope, session: Session, campaign: Occurrence) -> None:
    """The same of all lists of a canceled campaign. What became of its messages has decided about their codes."""
    place = {"execution_date": campaign.execution_date, "campaign": campaign.id}
    for (channel_id,) in scope.warehouse.rows(CHANNELS, **place):
        if channels.is_pulled(scope, int(channel_id)):
            take_back(scope, session, campaign, int(channel_id))

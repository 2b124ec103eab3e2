"""People who answer a text message with a keyword: STOP and its like, START and its like, and what is replied.

A reply consists of the keyword, or it means nothing: "STOP" does, "we have got to STOP this bill" does not. The number
is suppressed by itself, and whoever has it in any spelling.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import settings_or_defaults
from rapport.channels.models import Channel
from rapport.channels.sms import directory
from rapport.channels.sms.numbers import any_number_of, market_of, spellings_of
from rapport.channels.sms.settings import KeywordRules, SmsSettings, keyword, usual_region
from rapport.messaging.contactability import finding, suppressed_addresses, suppressions
from rapport.messaging.contactability.suppressions import UNSUBSCRIBED, Why
from rapport.messaging.models import KeywordReply, WishSource

# A number gets the reply to a wish once in this time, however often it repeats it: two machines never keep on talking.
PAUSE = timedelta(hours=1)
MOST_HOLDERS = 1000


class KeywordWish(StrEnum):
    """What a keyword means."""

    STOP = "stop"
    START = "start"


def wish_of(text: str, rules: KeywordRules) -> KeywordWish | None:
    """What a text means; None for one that is no keyword."""
    word = keyword(text)
    if word in rules.stop:
        return KeywordWish.STOP
    return KeywordWish.START if word in rules.start else None


@dataclass(frozen=True)
class CarriedOut:
    """What followed from a text: the number of the reply that it gets, if any, and the customers who refused by it."""

    reply: int | None = None
    refused_by: Sequence[str] = ()


NOTHING = CarriedOut()


def carry_out(scope: Scope, session: Session, channel: Channel, sender: str, text: str) -> CarriedOut:
    """Carry out what a text from a number means, in the caller's transaction. May be repeated freely."""
    region = usual_region(scope, directory.settings_of(channel))
    try:
        number = any_number_of(sender, region)
    except ValueError:
        return NOTHING  # short codes and names write no wishes
    rules = settings_or_defaults(scope, SmsSettings).rules_of(market_of(number))
    wish = wish_of(text, rules)
    if wish is None:
        return NOTHING
    spellings = spellings_of(number, region)
    holders: Sequence[str] = ()
    if wish is KeywordWish.STOP:
        holders = _stop(scope, session, channel.id, spellings, keyword(text))
    else:
        for spelling in spellings:
            suppressions.let_address_in(scope, session, channel.id, spelling, WishSource.KEYWORD)
    words = rules.stop_reply if wish is KeywordWish.STOP else rules.start_reply
    reply = _reply(scope, session, channel.id, number, wish, words) if words.strip() else None
    return CarriedOut(reply, holders)


def _stop(scope: Scope, session: Session, channel_id: int, spellings: Sequence[str], word: str) -> list[str]:
    """Keep who refused; the customers who have the number."""
    why = Why.of(UNSUBSCRIBED, WishSource.KEYWORD, word)
    new = suppressions.keep_checked(scope, session, channel_id, spellings[:1], why)
    suppressions.audit_addresses(scope, session, channel_id, why, new)
    holders = sorted({who for spelling in spellings for who in finding.holders(scope, spelling, MOST_HOLDERS)})
    if holders:
        suppressions.suppress_many(scope, session, channel_id, UNSUBSCRIBED, holders, WishSource.KEYWORD)
    return holders


def _reply(scope: Scope, session: Session, channel_id: int, number: str, wish: KeywordWish, words: str) -> int | None:
    now = scope.clock.now()
    [mark] = suppressed_addresses.marks_of(scope, [number])
    old = (KeywordReply.tenant_id == scope.tenant_id, KeywordReply.asked_at < now - PAUSE, KeywordReply.address == "")
    session.execute(delete(KeywordReply).where(*old))
    values = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "mark": mark, "wish": wish}
    new = insert(KeywordReply).values(**values, address=number, text=words, asked_at=now)
    return session.scalar(new.on_conflict_do_nothing().returning(KeywordReply.id))


def replies(scope: Scope, ids: Collection[int]) -> Mapping[int, KeywordReply]:
    """Replies that have not ended, by number."""
    mine = (KeywordReply.tenant_id == scope.tenant_id, KeywordReply.id.in_(ids), KeywordReply.address != "")
    with scope.reads() as session:
        return {reply.id: reply for reply in session.scalars(select(KeywordReply).where(*mine))}


def waits_since(scope: Scope, reply_id: int) -> datetime | None:
    """Since when a reply waits; None for one that is none."""
    mine = (KeywordReply.tenant_id == scope.tenant_id, KeywordReply.id == reply_id)
    with scope.reads() as session:
        return session.scalar(select(func.max(KeywordReply.asked_at)).where(*mine))


def end(scope: Scope, session: Session, ids: Collection[int]) -> None:
    """Forget the numbers of replies that have ended, in the caller's transaction."""
    mine = (KeywordReply.tenant_id == scope.tenant_id, KeywordReply.id.in_(ids))
    session.execute(update(KeywordReply).where(*mine).values(address="", text=""))

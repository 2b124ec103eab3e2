"""The bucket of a tenant to which the files for senders are copied."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from sqlalchemy import Update, func, select, update
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.campaigns.models import Engagement, EngagementBucket
from rapport.campaigns.states import CopyState
from rapport.errors import NotFound
from rapport.stores.outside import buckets
from rapport.stores.outside.buckets import Bucket

TRIAL = "rapport-trial"


@dataclass(frozen=True)
class Copies:
    """How the copies of a tenant's engagements fare: how many there are in a state, and those that failed last."""

    written: int
    waiting: int
    failing: list[Engagement]


def stored_bucket(scope: Scope) -> EngagementBucket | None:
    """The tenant's bucket as it was set; None for none."""
    with scope.reads() as session:
        return session.get(EngagementBucket, scope.tenant_id)


def opened_bucket(scope: Scope) -> Bucket | None:
    """The tenant's bucket; None for none. Raises Invalid for one that the operator does not allow any more."""
    stored = stored_bucket(scope)
    if stored is None:
        return None
    return buckets.bucket_of(scope.stores.settings, scope.tenant_id, stored.url, orjson.loads(stored.account))


def set_bucket(scope: Scope, url: str, account: Mapping[str, str]) -> EngagementBucket:
    """Have files for senders copied to a bucket from now on. Raises Invalid."""
    buckets.bucket_of(scope.stores.settings, scope.tenant_id, url, account)
    values = {"url": url, "account": orjson.dumps(dict(account)).decode(), "updated_at": scope.clock.now()}
    statement = insert(EngagementBucket).values(tenant_id=scope.tenant_id, **values)
    with scope.records() as session:
        session.execute(statement.on_conflict_do_update(index_elements=[EngagementBucket.tenant_id], set_=values))
        session.execute(_of_copies(scope).values(copy_due_at=scope.clock.now(), copy_attempts=0))
        scope.audit(session, "set", "bucket of engagements", url=url)
        return session.get_one(EngagementBucket, scope.tenant_id)


def delete_bucket(scope: Scope) -> None:
    """Copy no more files, and leave those in the bucket that are there. Raises NotFound for none."""
    with scope.records() as session:
        stored = session.get(EngagementBucket, scope.tenant_id)
        if stored is None:
            raise NotFound("No bucket is set.")
        session.delete(stored)
        session.execute(_of_copies(scope).values(copy_state=CopyState.NONE, copy_error=""))
        scope.audit(session, "delete", "bucket of engagements", url=stored.url)


def _of_copies(scope: Scope) -> Update:
    return update(Engagement).where(
        Engagement.tenant_id == scope.tenant_id, Engagement.copy_state.in_((CopyState.WAITING, CopyState.LEAVING))
    )


def try_bucket(scope: Scope) -> None:
    """Write an empty object to the bucket, and delete it. Raises NotFound, Invalid, BucketFailure."""
    bucket = opened_bucket(scope)
    if bucket is None:
        raise NotFound("No bucket is set.")
    buckets.put(scope.stores.settings, bucket, TRIAL, b"", b"")
    buckets.drop(scope.stores.settings, bucket, [TRIAL])


def copies(scope: Scope, at_most: int) -> Copies:
    """How the tenant's copies fare."""
    mine = Engagement.tenant_id == scope.tenant_id
    by_state = select(Engagement.copy_state, func.count()).where(mine).group_by(Engagement.copy_state)
    failing = select(Engagement).where(mine, Engagement.copy_state != CopyState.NONE, Engagement.copy_error != "")
    with scope.reads() as session:
        counts = {state: int(count) for state, count in session.execute(by_state)}
        newest = list(session.scalars(failing.order_by(Engagement.id.desc()).limit(at_most)))
    return Copies(counts.get(CopyState.WRITTEN, 0), counts.get(CopyState.WAITING, 0), newest)


def next_attempt(attempts: int) -> float:
    """Seconds until the next attempt of a copy that has failed so many times: a minute, and at most an hour."""
    return float(min(60 * 2 ** min(attempts - 1, 10), 3600))

"""Files for senders are copied to the bucket of a tenant: at once if it can be, or later, and deleted there in the end.

An attempt is claimed before it is made, by the time of the next one, so that of several processes one makes it. What is
copied twice is the same.
"""

import base64
from datetime import timedelta

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope, scope_of
from rapport.campaigns.delivery import file_names, sealed
from rapport.campaigns.delivery.buckets import next_attempt, opened_bucket
from rapport.campaigns.models import Engagement
from rapport.campaigns.states import CopyState, RunState
from rapport.errors import Invalid
from rapport.stores import Stores
from rapport.stores.holds import is_held
from rapport.stores.outside import buckets
from rapport.stores.outside.buckets import Bucket, BucketFailure

log = structlog.get_logger("rapport.campaigns")
# Longer than an attempt takes.
CLAIM = timedelta(minutes=15)
# Copies of canceled campaigns are to go, as their files do.
CANCELED = text("""
    UPDATE engagements SET copy_state = :leaving, copy_due_at = :now, copy_attempts = 0
    FROM campaigns WHERE campaigns.tenant_id = engagements.tenant_id AND campaigns.id = engagements.campaign_id
        AND campaigns.state = :canceled AND engagements.copy_state IN (:waiting, :written)
""")
CLAIMED = text("""
    UPDATE engagements SET copy_due_at = :until, copy_attempts = copy_attempts + 1
    WHERE (tenant_id, id) = (
        SELECT tenant_id, id FROM engagements
        WHERE copy_state IN (:waiting, :leaving) AND copy_due_at <= :now
        ORDER BY copy_due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING tenant_id, id
""")
STATES = {"waiting": CopyState.WAITING, "leaving": CopyState.LEAVING}


def begin(scope: Scope, engagement_id: int, files: int) -> None:
    """Copy the files of an engagement, if the tenant has a bucket: now, unless other copies fail or what goes out is
    held; else they wait.
    """
    if not _has_bucket(scope):
        return
    now = scope.clock.now()
    with scope.records() as session:
        engagement = session.get_one(Engagement, (scope.tenant_id, engagement_id))
        engagement.files = files
        waits = is_held(scope.stores) or _others_fail(scope, session, engagement_id)
        engagement.copy_state, engagement.copy_error = CopyState.WAITING, ""
        engagement.copy_attempts = 0 if waits else 1
        engagement.copy_due_at = now if waits else now + CLAIM
    if not waits:
        _attempt(scope, engagement_id)


def renew(scope: Scope, engagement_id: int) -> None:
    """Copy the files of an engagement once more, which were written anew."""
    with scope.records() as session:
        engagement = session.get_one(Engagement, (scope.tenant_id, engagement_id), with_for_update=True)
        if engagement.copy_state in (CopyState.WAITING, CopyState.WRITTEN):
            engagement.copy_state, engagement.copy_due_at = CopyState.WAITING, scope.clock.now()


def withdraw(scope: Scope, engagement: Engagement) -> None:
    """Have the copy of an engagement deleted whose files are; for the session that the engagement is of."""
    if engagement.copy_state != CopyState.NONE:
        engagement.copy_state, engagement.copy_due_at = CopyState.LEAVING, scope.clock.now()
        engagement.copy_attempts = 0


def end(scope: Scope, engagement_id: int) -> None:
    """Have the copy of an engagement deleted whose files were."""
    with scope.records() as session:
        withdraw(scope, session.get_one(Engagement, (scope.tenant_id, engagement_id), with_for_update=True))


def carry_out_next(stores: Stores) -> bool:
    """Make the attempt that is due longest, of whichever tenant; False when none is due."""
    now = stores.clock.now()
    with stores.records.session() as session:
        canceled = {"now": now, "leaving": CopyState.LEAVING, "canceled": RunState.CANCELED}
        session.execute(CANCELED, {**canceled, "waiting": CopyState.WAITING, "written": CopyState.WRITTEN})
        claimed = session.execute(CLAIMED, {**STATES, "now": now, "until": now + CLAIM}).one_or_none()
    if claimed is None:
        return False
    _attempt(scope_of(stores, claimed.tenant_id, actor="copies"), claimed.id)
    return True


def _has_bucket(scope: Scope) -> bool:
    try:
        return opened_bucket(scope) is not None
    except Invalid:  # the operator no longer allows it: the copies show that as they fail
        return True


def _others_fail(scope: Scope, session: Session, engagement_id: int) -> bool:
    """Whether the newest attempt of another copy has failed."""
    failing = select(Engagement.id).where(
        Engagement.tenant_id == scope.tenant_id,
        Engagement.id != engagement_id,
        Engagement.copy_state.in_((CopyState.WAITING, CopyState.LEAVING)),
        Engagement.copy_error != "",
    )
    return session.scalars(failing.limit(1)).first() is not None


def _attempt(scope: Scope, engagement_id: int) -> None:
    """Write or delete a copy, and note how that went."""
    with scope.reads() as session:
        engagement = session.get_one(Engagement, (scope.tenant_id, engagement_id))
    error = ""
    try:
        bucket = opened_bucket(scope)
        if bucket is not None:
            _carry_out(scope, bucket, engagement)
    except (BucketFailure, Invalid) as failure:
        error = failure.message
        log.warning("files are not in the bucket", tenant_id=scope.tenant_id, engagement_id=engagement_id, reason=error)
    with scope.records() as session:
        stored = session.get_one(Engagement, (scope.tenant_id, engagement_id), with_for_update=True)
        if (stored.copy_state, stored.copy_attempts) != (engagement.copy_state, engagement.copy_attempts):
            return  # something else is to be done with it meanwhile
        stored.copy_error = error
        if error:
            stored.copy_due_at = scope.clock.now() + timedelta(seconds=next_attempt(stored.copy_attempts))
        else:
            stored.copy_state = CopyState.WRITTEN if stored.copy_state == CopyState.WAITING else CopyState.NONE
            stored.copy_due_at = None


def _carry_out(scope: Scope, bucket: Bucket, engagement: Engagement) -> None:
    """Write the files of an engagement into the bucket, or delete them there. Raises BucketFailure."""
    names = file_names.of_engagement(engagement.id, engagement.files)
    settings, folder = scope.stores.settings, engagement.folder
    if engagement.copy_state == CopyState.LEAVING:
        buckets.drop(settings, bucket, [f"{folder}/{name}" for name in names])
        return
    key, home = base64.b64decode(engagement.key), sealed.home(scope, folder)
    for name in names:
        body = sealed.read(home / name, key)
        if body is not None:
            buckets.put(settings, bucket, f"{folder}/{name}", body, key)

"""By which ids providers report on messages: each with what Rapport's own reports of the message bring back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select, text

from rapport.access.scope import Scope
from rapport.channels.sms.models import SmsSubmission

# Nobody reports on a message after this.
KEPT = timedelta(days=30)
LONGEST_ID = 100
# A provider that gives an id again means the newer message.
KEEP = text("""
    INSERT INTO sms_submissions (tenant_id, channel_id, provider_id, return_token, submitted_at)
    SELECT DISTINCT ON (channel_id, provider_id) :tenant_id, channel_id, provider_id, return_token, :at
    FROM unnest(CAST(:channels AS integer[]), CAST(:ids AS text[]), CAST(:tokens AS text[])) WITH ORDINALITY
        AS submitted (channel_id, provider_id, return_token, ordinal)
    ORDER BY channel_id, provider_id, ordinal DESC
    ON CONFLICT (tenant_id, channel_id, provider_id) DO UPDATE
        SET return_token = excluded.return_token, submitted_at = excluded.submitted_at
""")


@dataclass(frozen=True, slots=True)
class Submission:
    """A message of a channel as the provider calls it, and the return token of the message."""

    channel_id: int
    provider_id: str
    return_token: str


def keep(scope: Scope, submitted: Sequence[Submission]) -> None:
    """Keep ids that providers gave. Once this returns they are not lost."""
    parameters = {
        "tenant_id": scope.tenant_id,
        "channels": [submission.channel_id for submission in submitted],
        "ids": [submission.provider_id[:LONGEST_ID] for submission in submitted],
        "tokens": [submission.return_token for submission in submitted],
        "at": scope.clock.now(),
    }
    with scope.records() as session:
        session.execute(KEEP, parameters)


def tokens_of(scope: Scope, channel_id: int, provider_ids: Collection[str]) -> dict[str, str]:
    """The return tokens of messages by the ids that a channel's provider gave them; unknown ones are absent."""
    query = select(SmsSubmission.provider_id, SmsSubmission.return_token).where(
        SmsSubmission.tenant_id == scope.tenant_id,
        SmsSubmission.channel_id == channel_id,
        SmsSubmission.provider_id.in_([provider_id[:LONGEST_ID] for provider_id in provider_ids]),
    )
    with scope.reads() as session:
        return {str(provider_id): str(token) for provider_id, token in session.execute(query)}


def drop_old(scope: Scope) -> None:
    """Forget the ids of messages on which nobody reports any more."""
    old = (SmsSubmission.tenant_id == scope.tenant_id, SmsSubmission.submitted_at < scope.clock.now() - KEPT)
    with scope.records() as session:
        session.execute(delete(SmsSubmission).where(*old))

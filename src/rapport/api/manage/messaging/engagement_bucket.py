"""Management of the bucket to which files for senders are copied."""

from datetime import datetime
from typing import Annotated

import orjson
from fastapi import Depends, Response
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.campaigns.delivery import buckets
from rapport.campaigns.models import EngagementBucket
from rapport.errors import NotFound

router = SectionRouter("Management: channels", "/manage/v1/engagement-bucket", JsonRoute)
MOST_FAILING = 50
AccountText = Annotated[str, Field(max_length=5000, pattern=r"^[^\x00]*$")]


class BucketIn(Body):
    """A bucket, and the account that writes to it."""

    url: str = Field(min_length=1, max_length=1000, examples=["gs://northwind-campaigns/rapport"])
    account: dict[str, AccountText] = Field(
        {},
        max_length=20,
        examples=[{"key": "AKIDEXAMPLE", "secret": "an example", "region": "eu-central-1"}],
        description="For gs:// the members of a service account's JSON file; for s3:// key, secret and optionally "
        "region; optionally endpoint, one of those that the operator allows",
    )


class FailedCopy(BaseModel):
    """An engagement whose files could not be copied, or deleted in the bucket."""

    engagement_id: int = Field(examples=[77])
    campaign_id: int = Field(examples=[1004])
    attempts: int = Field(examples=[3])
    error: str = Field(examples=["The bucket cannot be reached."])
    next_attempt_at: datetime | None


class BucketOut(BaseModel):
    """The bucket, without its account, and how the copies fare."""

    url: str = Field(examples=["gs://northwind-campaigns/rapport"])
    account: list[str] = Field(examples=[["client_email", "private_key"]], description="The members that are set")
    updated_at: datetime
    written: int = Field(examples=[12], description="Engagements whose files are in the bucket")
    waiting: int = Field(examples=[1], description="Engagements whose files are still to be copied")
    failing: list[FailedCopy] = Field(description="Those that failed last, at most 50")


def _shown(principal: Principal, stored: EngagementBucket) -> BucketOut:
    copies = buckets.copies(principal.scope, MOST_FAILING)
    failing = [
        FailedCopy(
            engagement_id=engagement.id,
            campaign_id=engagement.campaign_id,
            attempts=engagement.copy_attempts,
            error=engagement.copy_error,
            next_attempt_at=engagement.copy_due_at,
        )
        for engagement in copies.failing
    ]
    return BucketOut(
        url=stored.url,
        account=sorted(orjson.loads(stored.account)),
        updated_at=stored.updated_at,
        written=copies.written,
        waiting=copies.waiting,
        failing=failing,
    )


@router.get("", summary="Get the bucket for files of executed campaigns")
def get_engagement_bucket(principal: Principal = Depends(admin)) -> BucketOut:  # noqa: B008
    """404 if none is set."""
    stored = buckets.stored_bucket(principal.scope)
    if stored is None:
        raise NotFound("No bucket is set.")
    return _shown(principal, stored)


@router.put("", summary="Set the bucket for files of executed campaigns")
def set_engagement_bucket(body: BucketIn, principal: Principal = Depends(admin)) -> BucketOut:  # noqa: B008
    """From now on, the files that event 14 announces are also written to this bucket, under the same names."""
    return _shown(principal, buckets.set_bucket(principal.scope, body.url, body.account))


@router.delete("", summary="Remove the bucket for files of executed campaigns", status_code=204)
def delete_engagement_bucket(principal: Principal = Depends(admin)) -> Response:  # noqa: B008
    """Files that are in the bucket stay there."""
    buckets.delete_bucket(principal.scope)
    return Response(status_code=204)


@router.post("/check", summary="Test the bucket for files of executed campaigns", status_code=204)
def check_engagement_bucket(principal: Principal = Depends(admin)) -> Response:  # noqa: B008
    """Writes an empty object and deletes it; 502 with the reason if that fails."""
    buckets.try_bucket(principal.scope)
    return Response(status_code=204)

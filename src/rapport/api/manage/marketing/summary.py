"""What happened in some days, on one page."""

from datetime import date
from typing import Annotated

from fastapi import Depends, Query

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.parameters import INT32_MAX
from rapport.api.sections import SectionRouter
from rapport.campaigns.measurement import summary
from rapport.campaigns.measurement.summary import Chosen, Summary

router = SectionRouter("Management: campaigns", "/manage/v1/summary")


@router.get("", summary="Summarise a period")
def get_summary(
    first: Annotated[date | None, Query(description="If left out: six days before the last day")] = None,
    last: Annotated[
        date | None, Query(description="If left out: the newest data date, or six days after the first")
    ] = None,
    channel_id: Annotated[
        int | None, Query(ge=1, le=INT32_MAX, description="Only outcomes and interactions on this channel")
    ] = None,
    tag: Annotated[
        str | None,
        Query(max_length=100, description="Only campaigns with this tag, with their outcomes"),
    ] = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> Summary:
    """Sentences with the main points, customers who came, left and moved, orders compared with those of as many days
    before and of a year before, the effect against the global hold-out, campaigns, and changes."""
    return summary.summary(principal.scope, first, last, Chosen(channel_id, tag))

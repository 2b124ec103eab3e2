"""What happened in some days, on one page."""

from datetime import date
from typing import Annotated

from fastapi import Depends, Query

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.sections import SectionRouter
from rapport.campaigns.measurement import summary
from rapport.campaigns.measurement.summary import Summary

router = SectionRouter("Management: campaigns", "/manage/v1/summary")


@router.get("", summary="Summarise a period")
def get_summary(
    first: Annotated[date | None, Query(description="If left out: six days before the last day")] = None,
    last: Annotated[
        date | None, Query(description="If left out: the newest data date, or six days after the first")
    ] = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> Summary:
    """Customers who came, left and moved, orders compared with those of as many days before, campaigns, and changes."""
    return summary.summary(principal.scope, first, last)

"""Exports for a warehouse of one's own: outcomes, interactions and results of a period, each in one call."""

from datetime import UTC, date
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.tables import CONTENT, FORMATS, Format, table_file
from rapport.api.sections import SectionRouter
from rapport.campaigns.measurement import exports, result_rows
from rapport.campaigns.measurement.exports import Export, Period

router = SectionRouter("Management: exports", "/manage/v1/exports")
NEXT_SINCE = "X-Next-Since"
First = Annotated[date | None, Query(description="Campaigns processed from this day on", examples=["2031-05-01"])]
Last = Annotated[date | None, Query(description="Campaigns processed up to this day, included")]
Since = Annotated[
    AwareDatetime | None,
    Query(description=f"Rows written from this instant on: the {NEXT_SINCE} of the previous call"),
]
Form = Annotated[Format, Query(alias="format", description=FORMATS)]
NEXT = {"description": "The value of `since` for the next call", "schema": {"type": "string"}}
FILE: dict[int | str, dict[str, Any]] = {200: {"description": "A file", "content": CONTENT}}
FILE_WITH_NEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "A file", "content": CONTENT, "headers": {NEXT_SINCE: NEXT}}
}


def _answer(name: str, form: Format, export: Export) -> Response:
    next_since = export.next_since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return table_file(name, form, export.schema, export.batches, {NEXT_SINCE: next_since})


@router.get("/outcomes", summary="Export customer outcomes", response_class=Response, responses=FILE_WITH_NEXT)
def export_outcomes(
    first: First = None,
    last: Last = None,
    since: Since = None,
    form: Form = "csv",
    principal: Principal = Depends(admin),  # noqa: B008
) -> Response:
    """One row per customer, channel and campaign (and firing), with the outcome and the group.

    Of rows with the same campaign_id, customer_id, channel_id and firing_id, the last one counts.
    """
    export = exports.export_outcomes(principal.scope, Period(first, last, since))
    return _answer("outcomes", form, export)


@router.get(
    "/interactions", summary="Export interactions of recipients", response_class=Response, responses=FILE_WITH_NEXT
)
def export_interactions(
    first: First = None,
    last: Last = None,
    since: Since = None,
    form: Form = "csv",
    principal: Principal = Depends(admin),  # noqa: B008
) -> Response:
    """One row per interaction of a customer with a campaign on a channel, with its time."""
    export = exports.export_interactions(principal.scope, Period(first, last, since))
    return _answer("interactions", form, export)


@router.get("/results", summary="Export results against control", response_class=Response, responses=FILE)
def export_results(
    first: First = None,
    last: Last = None,
    form: Form = "csv",
    principal: Principal = Depends(admin),  # noqa: B008
) -> Response:
    """One row per recipient group (0: control) of each executed campaign, with the current results for its goal."""
    schema, batches = result_rows.export_results(principal.scope, Period(first, last))
    return table_file("results", form, schema, batches)

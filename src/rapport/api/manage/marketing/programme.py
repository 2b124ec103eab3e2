"""Management of the programme: what all series and triggers together have brought."""

from fastapi import Depends

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.campaigns.measurement import programme
from rapport.campaigns.measurement.programme import ProgrammeResults

router = SectionRouter("Management: campaigns", "/manage/v1/programme", JsonRoute)


@router.get("/results", summary="Get results of all campaigns together")
def get_programme_results(principal: Principal = Depends(admin)) -> ProgrammeResults:  # noqa: B008
    """All customers against the global hold-out since it began, in total and by month, with the sum of the series for
    comparison.

    409 without a hold-out, and before there are data about it.
    """
    return programme.programme_results(principal.scope)

"""Model: lifecycle stages, microsegments and the customers who moved between microsegments."""

from bisect import bisect_right
from datetime import date

from rapport.access.scope import Scope
from rapport.api.http.parameters import optional
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.errors import Invalid
from rapport.insight import service as insight
from rapport.insight import stages

router = SectionRouter("Model")

RANGE = (
    optional("StartDate", "date", description="Compare from this data date, or the last one before it; needs EndDate"),
    optional(
        "EndDate",
        "date",
        description="Compare to this data date, or the last one before it; without both dates, the newest two days "
        "are compared",
    ),
)
# Both days in one pass over the results; 0 stands for a day on which the customer was not there.
CHANGERS = """
    SELECT
        customer_id AS CustomerID,
        nullIf(sumIf({column}, data_date = {{StartDate:Date}}), 0) AS {initial},
        nullIf(sumIf({column}, data_date = {{EndDate:Date}}), 0) AS {final}
    FROM model_results
    WHERE data_date IN ({{StartDate:Date}}, {{EndDate:Date}})
    GROUP BY customer_id
    HAVING {having}
"""


def two_days(scope: Scope, values: Values) -> Values | None:
    """The two data dates to compare, the newest two when none are given; None without any.

    A date without results stands for the newest data date before it. Before the first one nobody was there.
    """
    start, end = values["StartDate"], values["EndDate"]
    if (start is None) != (end is None):
        raise Invalid("StartDate and EndDate must be given together.")
    if start is not None and start > end:
        raise Invalid("StartDate must not be after EndDate.")
    days = insight.result_dates(scope)
    if start is None:
        if len(days) < 2:
            return None
        start, end = days[-2:]
    return {**values, "StartDate": _data_date(days, start), "EndDate": _data_date(days, end)}


def _data_date(days: list[date], day: date) -> date:
    earlier = bisect_right(days, day)
    return days[earlier - 1] if earlier else day


def _stages(scope: Scope, values: Values) -> Values:
    stages.stage_rules(scope)
    return values


register(
    router,
    Read(
        "model",
        "GetLifecycleStageList",
        "The lifecycle stages, for use in other functions",
        engine="records",
        sql='SELECT id AS "StageID", name AS "StageName" FROM lifecycle_stages WHERE tenant_id = :tenant_id',
        row={"StageID": "integer", "StageName": "string"},
        order='"StageID"',
        prepare=_stages,
    ),
    Read(
        "model",
        "GetMicrosegmentList",
        "The microsegments with their lifecycle stage, mean future value and churn rate",
        engine="records",
        sql="""
            SELECT
                id AS "MicrosegmentID",
                name AS "MicrosegmentName",
                stage_id AS "LifecycleStageID",
                round(future_value::numeric, 4)::float8 AS "FutureValue",
                round(churn_rate::numeric, 6)::float8 AS "ChurnRate"
            FROM microsegments WHERE tenant_id = :tenant_id AND (customers > 0 OR NOT retired)
        """,
        row={
            "MicrosegmentID": "integer",
            "MicrosegmentName": "string",
            "LifecycleStageID": "integer",
            "FutureValue": "double",
            "ChurnRate": "double",
        },
        order='"MicrosegmentID"',
    ),
    Read(
        "model",
        "GetMicrosegmentChangers",
        "Customers whose microsegment changed, with the microsegment before and after",
        sql=CHANGERS.format(
            column="microsegment_id",
            initial="InitialMicrosegmentID",
            final="FinalMicrosegmentID",
            having="FinalMicrosegmentID IS NOT NULL AND ifNull(InitialMicrosegmentID, 0) != FinalMicrosegmentID",
        ),
        row={"CustomerID": "string", "InitialMicrosegmentID": "integer?", "FinalMicrosegmentID": "integer"},
        order="CustomerID",
        params=RANGE,
        customers=True,
        prepare=two_days,
        description="InitialMicrosegmentID is null for a customer who was in no microsegment on the first date.",
    ),
)

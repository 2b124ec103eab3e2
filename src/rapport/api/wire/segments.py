"""Value Segment: bands of customers by future value, their members and who moved between them."""

from rapport.access.scope import Scope
from rapport.api.http.parameters import required
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.api.wire.model import CHANGERS, RANGE, two_days
from rapport.insight import values as insight_values

router = SectionRouter("Value Segment")


def _segments(scope: Scope, values: Values) -> Values:
    insight_values.value_segments(scope)
    return values


def _published(scope: Scope, values: Values) -> Values | None:
    newest = scope.data_date()
    return values if newest is not None and values["Date"] <= newest else None


register(
    router,
    Read(
        "segments",
        "GetValueSegments",
        "The value segments, the most valuable first",
        engine="records",
        sql="""
            SELECT name AS "ValueSegmentName", id AS "ValueSegmentID"
            FROM value_segments WHERE tenant_id = :tenant_id
        """,
        row={"ValueSegmentName": "string", "ValueSegmentID": "integer"},
        order='"ValueSegmentID"',
        prepare=_segments,
    ),
    Read(
        "segments",
        "GetValueSegmentID",
        "The ID of a value segment by its name",
        engine="records",
        sql="""
            SELECT id AS "ValueSegmentID" FROM value_segments
            WHERE tenant_id = :tenant_id AND lower(name) = lower(:ValueSegmentName)
        """,
        row={"ValueSegmentID": "integer"},
        order='"ValueSegmentID"',
        params=(required("ValueSegmentName", "string", "The full name, in any case"),),
        single=True,
        missing="There is no value segment of the ValueSegmentName {ValueSegmentName!r}.",
        prepare=_segments,
    ),
    Read(
        "segments",
        "GetValueSegmentName",
        "The name of a value segment by its ID",
        engine="records",
        sql="""
            SELECT name AS "ValueSegmentName" FROM value_segments
            WHERE tenant_id = :tenant_id AND id = :ValueSegmentID
        """,
        row={"ValueSegmentName": "string"},
        order='"ValueSegmentName"',
        params=(
            required("ValueSegmentID", "integer", "A value segment, see GetValueSegments; 1 is the most valuable"),
        ),
        single=True,
        missing="There is no value segment of the ValueSegmentID {ValueSegmentID}.",
        prepare=_segments,
    ),
    Read(
        "segments",
        "GetCustomersByValueSegment",
        "The customers of a value segment on a date",
        sql="""
            SELECT customer_id AS CustomerID FROM model_results
            WHERE data_date = {Date:Date} AND value_segment_id = {ValueSegmentID:UInt32} AND value_segment_id > 0
        """,
        row={"CustomerID": "string"},
        order="CustomerID",
        params=(
            required("ValueSegmentID", "integer", "A value segment, see GetValueSegments; 1 is the most valuable"),
            required("Date", "date", "Data date, not later than GetLastDataUpdate"),
        ),
        customers=True,
        prepare=_published,
    ),
    Read(
        "segments",
        "GetValueSegmentChangers",
        "Customers whose value segment differs between two dates, with the segment before and after",
        sql=CHANGERS.format(
            column="value_segment_id",
            initial="InitialValueSegmentID",
            final="FinalValueSegmentID",
            having="InitialValueSegmentID != FinalValueSegmentID",
        ),
        row={"CustomerID": "string", "InitialValueSegmentID": "integer", "FinalValueSegmentID": "integer"},
        order="CustomerID",
        params=RANGE,
        customers=True,
        prepare=two_days,
        description="Only customers who are in a segment on both dates.",
    ),
)

"""Optimail: what integrators are told of the brands that mail is sent for. A BrandID is that of /manage/v1/brands."""

from rapport.api.http.parameters import required
from rapport.api.reads import Read, register
from rapport.api.sections import SectionRouter

router = SectionRouter("Optimail")

BRAND = required("BrandID", "integer", "The brand (Optimail account), see GET /manage/v1/brands")


def _addresses(role: str) -> str:
    """SQL of the addresses of a role."""
    return f"""
        (
            SELECT coalesce(json_agg(listed ORDER BY listed."Id"), '[]'::json)
            FROM (
                SELECT id AS "Id", address AS "Email" FROM brand_addresses
                WHERE tenant_id = :tenant_id AND brand_id = :BrandID AND role = '{role}'
            ) AS listed
        )
    """  # noqa: S608 - a constant


register(
    router,
    Read(
        "optimail",
        "GetEmailParameters",
        "The sender and reply addresses of a brand with their IDs",
        engine="records",
        sql=f"""
            SELECT {_addresses("from")} AS "FromEmailAddresses", {_addresses("reply_to")} AS "ReplyToAddresses"
            FROM brands WHERE tenant_id = :tenant_id AND id = :BrandID""",  # noqa: S608 - constants
        row={"FromEmailAddresses": "objects", "ReplyToAddresses": "objects"},
        order="id",
        single=True,
        params=(BRAND,),
        missing="There is no brand {BrandID}.",
        description="Templates name the addresses by these IDs. An ID belongs to one brand and one of the two lists. "
        "For an unknown brand the answer is 404.",
    ),
)

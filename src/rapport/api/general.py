"""General: last data update, event listeners, API key info, legacy login."""

from fastapi import APIRouter

from rapport.api.reads import Read, register

router = APIRouter(tags=["General"])

register(
    router,
    Read(
        "general",
        "GetLastDataUpdate",
        "The newest date for which customer data are available",
        engine="records",
        sql="""SELECT to_char(last_data_date, 'YYYY-MM-DD') AS "Date" FROM tenants WHERE id = :tenant_id""",
        row={"Date": "string?"},
        order='"Date"',
        single=True,
    ),
)

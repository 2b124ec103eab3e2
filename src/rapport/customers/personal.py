"""What customers hold of persons."""

from typing import Any

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.customers.importing import rejects
from rapport.customers.privacy import persons
from rapport.customers.privacy.anonymisation import WIDE
from rapport.customers.privacy.scrubbing import PROPERTIED
from rapport.customers.writes import attribute_requests


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {"attribute_requests": attribute_requests.naming(scope, customer_id)}


def _anonymise(scope: Scope, anonymised: Anonymised) -> None:
    rejects.forget(scope, anonymised.customer_ids, anonymised.texts)


def _erase(scope: Scope, erased: Erased) -> int:
    return persons.erase(scope, erased.customer_id, erased.tables)


# What identifies persons leaves the warehouse's tables before any package's `anonymise` is called: jobs.remove_pii.
PERSONAL_DATA = PersonalData(
    "customers",
    records={
        "attribute_jobs": ("payload", "outcome"),
        "attribute_times": ("mark",),
        "imports": ("warnings",),
        "pii_removed": ("key",),
    },
    warehouse=dict.fromkeys((*WIDE, *PROPERTIED), ("customer_id",))
    | {
        "activity_events": ("customer_id", "visitor_id"),
    },
    files=("rejects",),
    export=_export,
    anonymise=_anonymise,
    erase=_erase,
)

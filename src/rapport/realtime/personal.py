"""What real time holds of persons: events that wait, the event log, visitors and their events, triggers."""

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.realtime import persons


def _anonymise(scope: Scope, anonymised: Anonymised) -> None:
    persons.anonymise(scope, anonymised.customer_ids, anonymised.texts)


def _erase(scope: Scope, erased: Erased) -> int:
    return persons.forget(scope, erased.customer_id, erased.follow)


PERSONAL_DATA = PersonalData(
    "realtime",
    records={
        "accepted_events": ("customer_id", "visitor_id", "parameters"),
        "event_log": ("person", "body"),
        "visitor_owners": ("visitor_id", "customer_id", "person"),
        "visitors": ("visitor_id", "customer_id", "person", "same_as"),
        "trigger_states": ("person", "opened"),
        "trigger_firings": ("person", "customer_id", "parameters"),
    },
    warehouse={"visitor_events": ("visitor_id",)},
    export=persons.held,
    anonymise=_anonymise,
    erase=_erase,
)

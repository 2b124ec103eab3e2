"""What campaigns hold of persons: the accounts of what was sent, messages under way, and files for senders.

The accounts must add up, so an erasure leaves their rows under a pseudonym. They hold nothing that identifies; the
files do.
"""

from typing import Any

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.campaigns import erasure


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {"messages": erasure.held(scope, customer_id)}


def _anonymise(scope: Scope, of: Anonymised) -> None:
    erasure.renew_files(scope)


def _erase(scope: Scope, of: Erased) -> int:
    of.follow(of.customer_id)
    return 0


PERSONAL_DATA = PersonalData(
    "campaigns",
    records={"campaign_sends": ("customer_id",)},
    warehouse=dict.fromkeys(erasure.ACCOUNTS, ("customer_id",)),
    kept=frozenset(erasure.ACCOUNTS),
    files=("files",),
    export=_export,
    anonymise=_anonymise,
    erase=_erase,
    clear=erasure.clear_accounts,
)

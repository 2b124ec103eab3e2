"""What campaigns hold of persons: the accounts of what was sent, and files for senders.

The accounts must add up, so an erasure leaves their rows under a pseudonym. They hold nothing that identifies; the
files do.
"""

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.campaigns import erasure


def _anonymise(scope: Scope, of: Anonymised) -> None:
    erasure.renew_files(scope)


def _erase(scope: Scope, of: Erased) -> int:
    of.follow(of.customer_id)
    return 0


PERSONAL_DATA = PersonalData(
    "campaigns",
    warehouse=dict.fromkeys(erasure.ACCOUNTS, ("customer_id",)),
    kept_tables=frozenset(erasure.ACCOUNTS),
    files=("files",),
    anonymise=_anonymise,
    erase=_erase,
    clear=erasure.clear_accounts,
)

"""The mail servers, listeners and customers of other tests serve here too."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for neighbour in ("campaigns", "realtime", "notifications", "channels", "in_app"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))

from campaign_mail import Mailbox, mailbox  # noqa: E402
from transactional_world import add_stream  # noqa: E402

from rapport.access.scope import Scope  # noqa: E402
from rapport.stores import Stores  # noqa: E402
from rapport.transactional.messages import TransactionalSender  # noqa: E402


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as made:
        yield made


@pytest.fixture(scope="module")
def shop(scope: Scope, box: Mailbox) -> Scope:
    """A tenant with a transactional brand, whose mail the mailbox takes, and a template."""
    add_stream(scope, box.port)
    return scope


@pytest.fixture(scope="module")
def sender(stores: Stores, shop: Scope) -> Iterator[TransactionalSender]:
    """What sends the mail, for the whole module."""
    made = TransactionalSender(stores)
    made.start()
    yield made
    made.stop()

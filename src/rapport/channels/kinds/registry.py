"""The kinds of channels that there are: a new one is a module beside this one and a name in KINDS."""

from rapport.channels.kinds.base import AddressForm, ChannelKind
from rapport.channels.kinds.email import EmailKind
from rapport.channels.kinds.external import ExternalKind
from rapport.channels.kinds.gone import GoneKind
from rapport.channels.kinds.in_app import InAppKind
from rapport.channels.kinds.inbox import InboxKind
from rapport.channels.kinds.push import PushKind
from rapport.channels.kinds.sms import SmsKind
from rapport.channels.kinds.web_popup import WebPopupKind
from rapport.errors import Invalid

ALL: tuple[ChannelKind, ...] = (
    EmailKind(),
    ExternalKind(),
    SmsKind(),
    InboxKind(),
    InAppKind(),
    WebPopupKind(),
    PushKind(),
)
# By name, as channels store it.
KINDS: dict[str, ChannelKind] = {kind.name: kind for kind in ALL}


def kind_named(name: str) -> ChannelKind:
    """A kind by its name. Raises Invalid for one that there is not: no other kind takes its place."""
    if name not in KINDS:
        raise Invalid(f"kind must be one of {', '.join(KINDS)}, not {name!r}.")
    return KINDS[name]


def behaviour_of(name: str) -> ChannelKind:
    """What a stored channel of a kind does: a kind that there is not (any more) has a fault and sends nothing."""
    return KINDS.get(name) or GoneKind(name, list(KINDS))


def secret_settings() -> frozenset[str]:
    """The settings that channels of some kind have as secrets."""
    return frozenset().union(*(kind.secrets for kind in kinds()))


def kinds() -> list[ChannelKind]:
    """All kinds, in a fixed order."""
    return list(KINDS.values())


def address_forms() -> list[AddressForm]:
    """The forms of addresses that not every text has, each once, in the order of the kinds."""
    return list(dict.fromkeys(kind.address_form for kind in kinds() if kind.address_form.sql))

"""The usual names, beside ours, of columns that hold the address and the number that messages are sent to.

Such a column is read as EMAIL or MOBILE_NUMBER when nothing speaks against it: its values look like it or are blank,
no other column could be meant, the mapping does not speak of it, and the tenant has no attribute of that name.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from rapport.access.scope import Scope
from rapport.customers.attributes import AttributeInfo
from rapport.customers.formats.files import File, rows_sql
from rapport.customers.formats.headers import attribute_of, field_name
from rapport.customers.formats.repeated import totals
from rapport.customers.privacy.personal_values import holds_email
from rapport.stores.warehouse import literal

EMAIL, MOBILE = "EMAIL", "MOBILE_NUMBER"
# In letters of ASCII only: a name in another alphabet is always an attribute of its own.
EMAILS = """
    e_mail email_address e_mail_address emailaddress mail mail_address customer_email contact_email email_adresse
    e_mail_adresse emailadresse mailadresse mail_adresse courriel adresse_email adresse_e_mail adresse_mail correo
    correo_electronico indirizzo_email e_mailadres emailadres e_post epost
"""
MOBILES = """
    mobile mobile_phone mobilephone mobile_no mobile_nr mobile_phone_number phone_mobile cell cell_phone cellphone
    cell_number cell_phone_number handy handynummer handy_nr handynr mobil mobilnummer mobil_nr mobiltelefon mobilfunk
    mobilfunknummer telephone_mobile telephone_portable movil telefono_movil celular cellulare mobiel mobiele_nummer
"""
NAMES = {EMAIL: {*EMAILS.split()}, MOBILE: {*MOBILES.split()}}
# Digits with what is written between them; in a column of such a name also those that could be any number.
NUMBER = "^['+(]*[0-9][0-9 ()/.-]{5,}$"
LOOKS: dict[str, Callable[[str], str]] = {EMAIL: holds_email, MOBILE: lambda text: f"match({text}, {literal(NUMBER)})"}
# Of so many first rows this share of values tells what a column holds.
ROWS, SHARE = 1000, 0.5


def read_as(
    scope: Scope, file: File, attributes_by_name: Mapping[str, AttributeInfo], taken_names: Collection[str]
) -> dict[str, str]:
    """The columns of a file, by their names in it, that are read as an attribute that messages are sent to.

    attributes_by_name are the tenant's; taken_names are those, of the file's columns and of ours, that the mapping or
    the file itself gives, as field_name has them.
    """
    candidates = [
        (attribute, indexes[0])
        for attribute, names in NAMES.items()
        if field_name(attribute) not in taken_names
        and len(
            indexes := [index for index, name in enumerate(file.names) if field_name(name) in names - {*taken_names}]
        )
        == 1
        and attribute_of(attributes_by_name, file.names[indexes[0]]) is None
    ]
    return {
        file.names[index]: attribute
        for (attribute, index), fits in zip(candidates, _holding(scope, file, candidates), strict=True)
        if fits
    }


def _holding(scope: Scope, file: File, candidates: Sequence[tuple[str, int]]) -> list[bool]:
    """Whether the first rows of each column hold what its attribute does, or nothing."""

    def counted(attribute: str, text: str) -> str:
        return f"({text} IS NOT NULL, {LOOKS[attribute](f'ifNull({text}, {chr(39) * 2})')})"

    expressions = [
        (lambda text, attribute=attribute: counted(attribute, text), f"r{index}") for attribute, index in candidates
    ]
    rows = f"SELECT * FROM ({rows_sql(file)}) LIMIT {ROWS}"  # noqa: S608 - made of the file's structure
    counts = totals(scope.warehouse, ("sum", "sum"), expressions, rows, file.settings)
    return [matching >= SHARE * present for present, matching in counts]

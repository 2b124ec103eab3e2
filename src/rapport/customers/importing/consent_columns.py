"""Columns of files about consent: those that nobody has marked as such, and what refused rows say in the others."""

from collections.abc import Sequence
from itertools import pairwise

from rapport.customers.attributes import NUMERIC, WORDS
from rapport.customers.consent import BLOCKED, PERMISSION
from rapport.customers.formats.files import File, rows_sql
from rapport.customers.importing.column_plans import MappedColumn, Plan
from rapport.customers.importing.file_warnings import EXAMPLES, FileWarning, counted, visible
from rapport.customers.importing.staging import Stage
from rapport.customers.privacy.personal_names import words

# By their Yes they forbid; as one word or as two that follow one another.
FORBID = """
    optout optedout unsubscribed unsubscribe unsub dnc donotcontact donotmail donotemail donotcall suppressed suppress
    blacklist blacklisted blocklist blocklisted abgemeldet werbesperre gesperrt desabonne desinscrit uitgeschreven
    отписан 退订
    selfexcluded selfexclusion selfexclude selbstausschluss selbstausgeschlossen selbstsperre selbstgesperrt
    spielersperre zelfuitsluiting zelfuitgesloten autoexclusion autoexclu autoexclue autoexcluido autoexcluida
    autoesclusione autoescluso autoesclusa
"""
FORBID_PAIRS = {"opt out", "opted out", "not contact", "not mail", "not email", "not call", "not sms", "not send",
                "self excluded", "self exclusion", "self exclude", "selbst ausgeschlossen", "selbst gesperrt",
                "zelf uitgesloten", "zelf uitsluiting", "auto exclusion", "auto exclu", "auto exclue", "auto excluido",
                "auto excluida", "auto esclusione", "auto escluso", "auto esclusa"}  # fmt: skip
PERMIT = """
    optin optedin subscribed subscriber newsletter newsletters consent consents permission permissions gdpr dsgvo
    einwilligung werbeerlaubnis werbeeinwilligung consentement consentimiento consenso consentimento samtycke
    toestemming zgoda souhlas согласие подписан рассылка 同意 同意する 订阅
"""
PERMIT_PAIRS = {"opt in", "opted in", "accepts marketing", "accept marketing", "allow marketing", "marketing allowed",
                "marketing opt", "email marketing", "sms marketing"}  # fmt: skip
# What is told of a consent, and is none.
ABOUT = """
    date time at on since until id ids ip source count counts number version type plan topic topics name language
    channel url link text status datum uhrzeit quelle anzahl
"""


def named_consent(name: str) -> str:
    """What a column of this name would say: permission when its Yes permits to write, blocked, or empty for neither."""
    name_words = words(name)
    if {*ABOUT.split()} & {*name_words}:
        return ""
    candidates = {*name_words, "".join(name_words)}
    pairs = {f"{first} {second}" for first, second in pairwise(name_words)}
    if candidates & {*FORBID.split()} or pairs & FORBID_PAIRS:
        return BLOCKED
    return PERMISSION if candidates & {*PERMIT.split()} or pairs & PERMIT_PAIRS else ""


def warnings(plan: Plan) -> list[FileWarning]:
    """The columns of customers that look like consent and are not read as such, so that nobody is kept off by them."""
    columns = plan.columns if plan.kind.extras == "attributes" else ()
    descriptions = [
        _described(column)
        for column in columns
        if column.field.consent is None and column.field.type in (*WORDS, *NUMERIC)
    ]
    return _not_marked([description for description in descriptions if description])


def _described(column: MappedColumn) -> str:
    kind = named_consent(column.name) or named_consent(column.field.column)
    return f"'{visible(column.name)}' ({column.field.column}): {kind}" if kind else ""


def _not_marked(columns: Sequence[str]) -> list[FileWarning]:
    subject = counted(len(columns), "column looks", "columns look")
    message = (
        f"{subject} like consent and {'is' if len(columns) == 1 else 'are'} not read as such, so that a no there keeps "
        "nobody off: map it to an attribute such as Allow_Email or Is_Blocked, or mark it by PATCH "
        "/manage/v1/attributes/{name} with a consent of permission (Yes permits to write) or blocked (Yes forbids)."
    )
    return [FileWarning("consent_not_marked", message, len(columns), tuple(columns))] if columns else []


def refused(stage: Stage, plan: Plan, file: File) -> list[FileWarning]:
    """Rows that were refused though they say that somebody must not be written to: that is not known then."""
    consents = [(column.field.consent, column.text) for column in plan.consents if column.field.consent is not None]
    if not consents:
        return []
    forbids = " OR ".join(f"{consent.refusal_sql(text)} IS NOT NULL" for consent, text in consents)
    sql = f"""
        SELECT count(), arraySlice(arraySort(groupArray(_row)), 1, {EXAMPLES})
        FROM ({rows_sql(file)})
        WHERE _fault = '' AND _row IN (SELECT line FROM {stage.rejects()}) AND ({forbids})
        {file.settings}
    """  # noqa: S608 - made of the file's structure, names quoted
    count, lines = stage.warehouse.row(sql) or (0, [])
    message = (
        f"{counted(count, 'refused row says', 'refused rows say')} that somebody must not be written to, which was not "
        "loaded: mend and load them before anything is sent."
    )
    return [FileWarning("refused_no", message, count, tuple(f"line {line}" for line in lines))] if count else []

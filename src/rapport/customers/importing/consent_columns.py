"""Columns of files about consent: those that nobody has marked as such, and what refused rows say in the others."""

from collections.abc import Sequence
from itertools import pairwise

from rapport.customers.attributes import NUMERIC, WORDS
from rapport.customers.consent import BLOCKED, PERMISSION
from rapport.customers.formats.files import File, rows_sql
from rapport.customers.importing.plans import Bound, Plan
from rapport.customers.importing.staging import Stage
from rapport.customers.importing.suspicions import EXAMPLES, Suspicion, counted, visible
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
    found = words(name)
    if {*ABOUT.split()} & {*found}:
        return ""
    looked = {*found, "".join(found)}
    pairs = {f"{one} {two}" for one, two in pairwise(found)}
    if looked & {*FORBID.split()} or pairs & FORBID_PAIRS:
        return BLOCKED
    return PERMISSION if looked & {*PERMIT.split()} or pairs & PERMIT_PAIRS else ""


def suspicions(plan: Plan) -> list[Suspicion]:
    """The columns of customers that look like consent and are not read as such, so that nobody is kept off by them."""
    asked = plan.bound if plan.kind.extras == "attributes" else ()
    told = [_told(one) for one in asked if one.field.consent is None and one.field.type in (*WORDS, *NUMERIC)]
    return _not_marked([one for one in told if one])


def _told(one: Bound) -> str:
    kind = named_consent(one.name) or named_consent(one.field.column)
    return f"'{visible(one.name)}' ({one.field.column}): {kind}" if kind else ""


def _not_marked(told: Sequence[str]) -> list[Suspicion]:
    columns = counted(len(told), "column looks", "columns look")
    message = (
        f"{columns} like consent and {'is' if len(told) == 1 else 'are'} not read as such, so that a no there keeps "
        "nobody off: map it to an attribute such as Allow_Email or Is_Blocked, or mark it by PATCH "
        "/manage/v1/attributes/{name} with a consent of permission (Yes permits to write) or blocked (Yes forbids)."
    )
    return [Suspicion("consent_not_marked", message, len(told), tuple(told))] if told else []


def refused(stage: Stage, plan: Plan, file: File) -> list[Suspicion]:
    """Rows that were refused though they say that somebody must not be written to: that is not known then."""
    consents = [(one.field.consent, one.text) for one in plan.consents if one.field.consent is not None]
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
    return [Suspicion("refused_no", message, count, tuple(f"line {line}" for line in lines))] if count else []

"""What the SQL of a run leaves out because nothing in the profiles of its day needs it, and when it is put in."""

from datetime import date

from rapport.access.scope import Scope
from rapport.messaging.contactability.survey import WORDS, nobody_shares, profiles_stand, survey

DATA_DATE = date(2026, 3, 9)
PROFILES = """
    INSERT INTO profiles (data_date, customer_id, EMAIL, IS_OPTIN) SELECT toDate('{day}'), id, mail, word FROM ({rows})
"""
ROW = "SELECT '{id}' AS id, '{mail}' AS mail, '{word}' AS word"


def fill(scope: Scope, day: date, rows: list[tuple[str, str, str]]) -> None:
    selects = " UNION ALL ".join(ROW.format(id=who, mail=mail, word=word) for who, mail, word in rows)
    scope.warehouse.execute(PROFILES.format(day=day, rows=selects))


def test_a_survey_tells_the_words_and_the_plain_addresses_and_is_made_anew_when_profiles_change(scope: Scope) -> None:
    fill(scope, DATA_DATE, [("a", "a@example.com", "Yes"), ("b", "", "No"), ("c", "C@Example.com", "")])
    found = survey(scope, DATA_DATE, {"IS_OPTIN"}, {"EMAIL"})
    assert found.words == {"IS_OPTIN": {"Yes", "No", ""}} and found.plain == {"EMAIL"}
    fill(scope, DATA_DATE, [("d", "<d@example.com>", "Nein")])
    later = survey(scope, DATA_DATE, {"IS_OPTIN"}, {"EMAIL"})
    assert later.words == {"IS_OPTIN": {"Yes", "No", "", "Nein"}} and not later.plain
    assert survey(scope, date(2020, 1, 1), {"IS_OPTIN"}, {"EMAIL"}).words == {"IS_OPTIN": frozenset()}


def test_a_column_of_many_words_is_read_by_sql(scope: Scope) -> None:
    day = date(2026, 3, 1)
    fill(scope, day, [(str(n), "x@example.com", f"word {n}") for n in range(WORDS + 1)])
    assert survey(scope, day, {"is_optin"}, ()).words == {"IS_OPTIN": None}


def test_whether_addresses_are_shared_is_known_of_all_profiles_of_a_day_and_asked_anew_when_they_change(
    scope: Scope,
) -> None:
    day = date(2026, 3, 2)

    def alone(*names: str) -> bool:
        return nobody_shares(scope, day, names, profiles_stand(scope, day))

    fill(scope, day, [("a", "a@example.com", ""), ("b", "b@example.com", ""), ("c", "", ""), ("d", "", "")])
    assert alone("EMAIL") and alone("EMAIL", "MOBILE_NUMBER")
    columns = ("data_date", "customer_id", "MOBILE_NUMBER")
    scope.warehouse.insert("profiles", columns, [(day, "e", "B@example.com")])
    assert alone("EMAIL") and alone("MOBILE_NUMBER") and not alone("EMAIL", "MOBILE_NUMBER")
    fill(scope, day, [("g", "A@Example.com", "")])
    assert not alone("EMAIL")


def test_profiles_of_a_day_stand_as_they_were_whatever_becomes_of_those_of_another(scope: Scope) -> None:
    day, other = date(2026, 3, 3), date(2026, 3, 4)
    for data_date in (day, other):
        fill(scope, data_date, [("a", "a@example.com", ""), ("b", "b@example.com", "")])
    change = "UPDATE profiles SET EMAIL = {text:String} WHERE data_date = {day:Date} AND customer_id = 'a'"
    before, before_of_other = profiles_stand(scope, day), profiles_stand(scope, other)
    scope.warehouse.execute(change, text="new@example.com", day=other)
    scope.warehouse.execute("ALTER TABLE profiles UPDATE EMAIL = 'n' IN PARTITION '2026-03-04' WHERE customer_id = 'b'")
    assert profiles_stand(scope, day) == before
    assert profiles_stand(scope, other) != before_of_other
    scope.warehouse.execute(change, text="newer@example.com", day=day)
    assert profiles_stand(scope, day) != before

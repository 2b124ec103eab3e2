"""What other packages may ask of insight."""

from collections.abc import Callable
from datetime import date

from rapport.access.scope import Scope
from rapport.access.service import publish_data_date as publish
from rapport.insight import queries
from rapport.insight.future import fit_future_value
from rapport.insight.microsegments import fit_microsegments
from rapport.insight.recommendations import recommend
from rapport.insight.scores import score
from rapport.insight.snapshot import clean_up, write_profiles, write_results


def build_features(scope: Scope, data_date: date) -> None:
    """Make the table of features of the date."""
    queries.fill_features(scope, "features", data_date, data_date)


def result_dates(scope: Scope) -> list[date]:
    """The data dates that have model results and are published, oldest first."""
    newest = scope.data_date()
    if newest is None:
        return []
    sql = "SELECT DISTINCT data_date FROM model_results WHERE data_date <= {newest:Date} ORDER BY data_date"
    return [day for (day,) in scope.warehouse.rows(sql, newest=newest)]


MODEL_STEPS: tuple[tuple[str, Callable[[Scope, date], None]], ...] = (
    ("features", build_features),
    ("microsegments", fit_microsegments),
    ("future value", fit_future_value),
    ("scores", score),
    ("recommendations", recommend),
    ("profiles", write_profiles),
    ("model results", write_results),
)


def run_model(scope: Scope, data_date: date) -> None:
    """Every step of the daily model of a date, in order, its publication, and what is left over dropped."""
    for _, step in MODEL_STEPS:
        step(scope, data_date)
    publish(scope, data_date)
    clean_up(scope, data_date)

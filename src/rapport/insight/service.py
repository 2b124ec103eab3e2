"""What other packages may ask of insight."""

from collections.abc import Callable
from datetime import date

from rapport.access.scope import Scope
from rapport.insight import queries, work
from rapport.insight.future import fit_future_value
from rapport.insight.microsegments import fit_microsegments
from rapport.insight.scores import score
from rapport.insight.snapshot import clean_up, publish, write_profiles, write_results
from rapport.insight.stages import DORMANT, change_stage_rules, stage_rules
from rapport.insight.values import define_value_segments, value_segments


def build_features(scope: Scope, data_date: date) -> None:
    """Make the table of features of the date."""
    bound = {**queries.date_parameters(scope, data_date), **stage_rules(scope).parameters()}
    work.fill(scope, "features", data_date, queries.FEATURES_ON_DATE, **bound)


MODEL_STEPS: tuple[tuple[str, Callable[[Scope, date], None]], ...] = (
    ("features", build_features),
    ("microsegments", fit_microsegments),
    ("future value", fit_future_value),
    ("scores", score),
    ("profiles", write_profiles),
    ("model results", write_results),
    ("clean up", clean_up),
)


def run_model(scope: Scope, data_date: date) -> None:
    """Every step of the daily model of a date, in order, and its publication."""
    for _, step in MODEL_STEPS:
        step(scope, data_date)
    publish(scope, data_date)


__all__ = [
    "DORMANT",
    "MODEL_STEPS",
    "change_stage_rules",
    "define_value_segments",
    "publish",
    "run_model",
    "stage_rules",
    "value_segments",
]

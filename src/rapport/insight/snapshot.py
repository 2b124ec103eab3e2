"""The snapshot of a date: every customer's wide profile and narrow model results, each put in place at once."""

from collections.abc import Collection
from datetime import date, timedelta

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.customers import attributes as customer_attributes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.states import AttributeSource
from rapport.customers.writes import locks
from rapport.insight import forecasts, microsegments, stages, values, work
from rapport.insight.features import FEATURES, Feature
from rapport.insight.settings import InsightSettings
from rapport.stores.warehouse import identifier

LARGEST, DECIMAL = 1e14, "Decimal(19, 4)"  # what one holds
# Parts of updates that are not merged yet are called patches.
PARTITIONS = """
    SELECT DISTINCT table, partition FROM system.parts
    WHERE database = {database:String} AND table IN {tables:Array(String)} AND active AND partition NOT LIKE 'patch-%'
"""
KEPT = """LEFT JOIN (SELECT * FROM profiles WHERE data_date = {data_date:Date}) AS kept
            ON kept.customer_id = customer.customer_id"""


def _rank(column: str, parts: int) -> str:
    """A rank from 1 (lowest) to parts out of the share of customers ranked before."""
    return f"if(unranked, NULL, toInt32({parts} - floor({column} * {parts})))"


def _ranks(name: str, words: str, column: str) -> tuple[Feature, ...]:
    return (
        Feature(f"{name}_PERCENTILE", "Int", f"Rank of {words} among all, 1 (lowest) to 100", _rank(column, 100)),
        Feature(f"{name}_PERMILLE", "Int", f"Rank of {words} among all, 1 (lowest) to 1000", _rank(column, 1000)),
        Feature(
            f"{name}_PERCENTILE_IN_STAGE",
            "Int",
            f"Rank of {words} within the lifecycle stage, 1 (lowest) to 100",
            _rank(f"stage_{column}", 100),
        ),
        Feature(
            f"{name}_PERMILLE_IN_STAGE",
            "Int",
            f"Rank of {words} within the lifecycle stage, 1 (lowest) to 1000",
            _rank(f"stage_{column}", 1000),
        ),
    )


def _named(column: str, ids: str, names: str) -> str:
    return f"nullIf(transform({column}, {{{ids}:Array(UInt32)}}, {{{names}:Array(String)}}, ''), '')"


MODEL_ATTRIBUTES = (
    Feature("LIFECYCLE_STAGE", "Varchar", "Lifecycle stage", _named("lifecycle_stage_id", "stage_ids", "stage_names")),
    Feature("LIFECYCLE_STAGE_ID", "Int", "Id of the lifecycle stage", "lifecycle_stage_id"),
    Feature(
        "PREVIOUS_LIFECYCLE_STAGE",
        "Varchar",
        "Lifecycle stage before the present one",
        _named("previous_stage_id", "stage_ids", "stage_names"),
    ),
    Feature(
        "PREVIOUS_LIFECYCLE_STAGE_ID",
        "Int",
        "Id of the lifecycle stage before the present one",
        "nullIf(previous_stage_id, 0)",
    ),
    Feature(
        "DAYS_SINCE_STAGE_CHANGE",
        "Int",
        "Days since the customer came into the present stage",
        "toInt32({data_date:Date} - stage_start)",
    ),
    Feature("DAYS_IN_CHURN", "Int", "Days spent in the Churn stage over the whole life", "days_in_churn"),
    Feature("TIMES_CHURNED", "Int", "How often the customer came into the Churn stage", "times_churned"),
    Feature(
        "DAYS_SINCE_LAST_REACTIVATION",
        "Int",
        "Days since the purchase that ended the last Churn stage",
        "since_reactivation",
    ),
    Feature("DORMANT_TYPE", "Varchar", "Prospect or Never active, of customers without a purchase", "dormant_type"),
    Feature(
        "MICROSEGMENT", "Nvarchar", "Microsegment", _named("microsegment_id", "microsegment_ids", "microsegment_names")
    ),
    Feature("MICROSEGMENT_ID", "Int", "Id of the microsegment", "nullIf(microsegment_id, 0)"),
    Feature("VALUE_SEGMENT", "Varchar", "Value segment", _named("value_segment_id", "value_ids", "value_names")),
    Feature("VALUE_SEGMENT_ID", "Int", "Id of the value segment, 1 the most valuable", "nullIf(value_segment_id, 0)"),
    Feature(
        "FUTURE_VALUE",
        "Decimal",
        "Revenue expected in the next 12 months, less refunds",
        "if(unranked, NULL, future_value)",
    ),
    Feature(
        "FUTURE_VALUE_GROSS",
        "Decimal",
        "Revenue expected in the next 12 months, before refunds",
        "if(unranked, NULL, gross_value)",
    ),
    Feature(
        "EXPECTED_ORDERS_12M",
        "Decimal",
        "Days with an order expected in the next 12 months",
        "if(unranked, NULL, expected_orders)",
    ),
    *_ranks("FUTURE_VALUE", "the future value", "value_before"),
    Feature(
        "CHURN_PROBABILITY",
        "Decimal",
        "Chance, 0 to 1, of no order in the days after which a customer counts as churned",
        "if(unranked, NULL, churn_probability)",
    ),
    *_ranks("CHURN_PROBABILITY", "the churn probability", "churn_before"),
)


def declare_attributes(scope: Scope) -> None:
    """Make the calculated and model attributes exist for the tenant."""
    infos = [feature.attribute() for feature in FEATURES]
    for model in MODEL_ATTRIBUTES:
        alias = model.name.replace("_", " ").capitalize()
        infos.append(AttributeInfo(model.name, alias, model.description, model.field_type, AttributeSource.MODEL))
    with locks.writing(scope):
        customer_attributes.declare(scope, infos)


def typed(sql: str, field_type: str) -> str:
    """An expression as what the column of its attribute takes; floats are rounded, not cut, to four places.

    All but decimals are brought to their types by the insert itself, which spares a long statement as many casts.
    """
    if field_type != "Decimal":
        return sql
    # The tiny step away from zero makes the cut to a decimal land on the rounded fourth place. No NaN is a decimal.
    rounded = f"round(toFloat64({sql}), 4)"
    value = f"accurateCastOrNull({rounded} + sign({rounded}) * 1e-5, '{DECIMAL}')"
    return f"if(ifNull(abs({rounded}) < {LARGEST}, 0), {value}, NULL)"


def _profile_select(scope: Scope, data_date: date) -> tuple[list[str], str]:
    """The columns of profiles and the SELECT that gives them.

    The profile of a past date keeps the given attributes that it has: those of customers are of today.
    """
    attributes = list(scope.warehouse.columns("customers"))
    calculated = [(f.name, typed(f"feature.{identifier(f.name)}", f.field_type)) for f in FEATURES]
    modelled = [(f.name, typed(f.sql, f.field_type)) for f in MODEL_ATTRIBUTES]
    published = scope.data_date()
    is_past = published is not None and data_date < published
    own = "if(kept.customer_id != '', kept.{0}, customer.{0})" if is_past else "customer.{0}"
    expressions = [
        "{data_date:Date}",
        *(own.format(identifier(column)) for column in attributes),
        *(sql for _, sql in (*calculated, *modelled)),
    ]
    select = f"""
        SELECT {", ".join(expressions)}
        FROM customers AS customer
        INNER JOIN {work.table("features", data_date)} AS feature ON feature.customer_id = customer.customer_id
        INNER JOIN {work.table("scores", data_date)} AS scored ON scored.customer_id = customer.customer_id
        {KEPT if is_past else ""}
        SETTINGS join_algorithm = 'full_sorting_merge'
    """  # noqa: S608 - ours
    return ["data_date", *attributes, *(name for name, _ in (*calculated, *modelled))], select


def _names(scope: Scope) -> dict[str, list[int] | list[str]]:
    tables = {
        "stage": stages.stage_rules(scope).names(),
        "microsegment": microsegments.microsegment_names(scope),
        "value": {segment.id: segment.name for segment in values.value_segments(scope)},
    }
    parameters: dict[str, list[int] | list[str]] = {}
    for name, table in tables.items():
        parameters |= {f"{name}_ids": [0, *table], f"{name}_names": ["", *table.values()]}
    return parameters


def write_profiles(scope: Scope, data_date: date) -> None:
    """Replace the profiles of the date, from customers that nobody changes meanwhile."""
    declare_attributes(scope)
    columns, select = _profile_select(scope, data_date)
    parameters = {"data_date": data_date, **_names(scope)}
    # What is written or erased between reading and replacing would come back, or be missing, in the profile.
    with locks.writing(scope):
        read = ("customers", "profiles", *(work.plain(name, data_date) for name in ("features", "scores")))
        selects = ((part, select, parameters) for part in scope.warehouse.customer_slices(*read))
        work.replace_partition(scope, "profiles", data_date, columns, selects)


def write_results(scope: Scope, data_date: date) -> None:
    """Replace the model results of the date, tell microsegments their figures, and keep the week's forecast."""
    columns = ["lifecycle_stage_id", "microsegment_id", "value_segment_id", "future_value", "churn_probability"]
    select = f"SELECT {{data_date:Date}}, customer_id, {', '.join(columns)} FROM {work.table('scores', data_date)}"  # noqa: S608 - ours
    selects = [(scope.warehouse, select, {"data_date": data_date})]
    work.replace_partition(scope, "model_results", data_date, ["data_date", "customer_id", *columns], selects)
    microsegments.update_figures(scope, data_date)
    forecasts.track(scope, data_date)


def clean_up(scope: Scope, data_date: date, under_way: Collection[date] = ()) -> None:
    """Drop the working tables of a date whose day is done, and the snapshots older than the tenant keeps them.

    The newest date keeps its snapshots, and so does every date under way, whatever its age: its campaigns read them.
    """
    work.drop(scope, data_date)
    newest = scope.data_date()
    if newest is None:
        return
    settings = tenant_settings(scope, InsightSettings)
    days_kept = {
        "profiles": settings.profile_days,
        "model_results": settings.model_result_days,
        "product_recommendations": settings.profile_days,
    }
    partitions = scope.warehouse.rows(PARTITIONS, database=scope.warehouse.name, tables=list(days_kept))
    for table, partition in partitions:
        day = date.fromisoformat(partition)
        if day <= newest - timedelta(days=days_kept[table]) and day not in (newest, *under_way):
            scope.warehouse.execute(f"ALTER TABLE {identifier(table)} DROP PARTITION '{partition}'")

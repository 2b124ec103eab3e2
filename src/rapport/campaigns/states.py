"""States of series, runs and daily cycles, and what series choose from a few values, as records keep them."""

from enum import IntEnum, StrEnum


class SeriesStatus(StrEnum):
    """Whether a series, or a triggered campaign, runs."""

    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class Split(StrEnum):
    """How the customers of a series are divided into its groups."""

    FIXED = "fixed"
    THOMPSON = "thompson"


class ChannelChoice(StrEnum):
    """On which channels of its group a customer is reached: on all on which it can be, or the first of them."""

    ALL = "all"
    FIRST = "first_reachable"


class SendTimeZone(StrEnum):
    """Whose time zone a send time is in: the tenant's, or each customer's."""

    TENANT = "tenant"
    CUSTOMER = "customer"


class PassedTime(StrEnum):
    """When a message leaves if its customer's send time had passed when the run was processed."""

    AT_ONCE = "at_once"
    NEXT_DAY = "next_day"


class ABMetric(StrEnum):
    """What of the recipients of a variant decides an A/B test: the share of those who opened, clicked, met the goal or
    ordered, or what they spent.
    """

    OPENS = "opens"
    CLICKS = "clicks"
    RESPONDERS = "responders"
    ORDERS = "orders"
    VALUE = "value"


class Portion(IntEnum):
    """Which of its recipients on a channel a group's row is about: all, those of an A/B test, or those after it."""

    WHOLE = 0
    TEST = 1
    REST = 2


class CopyState(StrEnum):
    """How far the copy of an engagement's files in the tenant's bucket is: leaving copies are to be deleted."""

    NONE = "none"
    WAITING = "waiting"
    WRITTEN = "written"
    LEAVING = "leaving"


class RunState(StrEnum):
    """How far a run is, and what it sends on a channel."""

    PLANNED = "planned"
    PROCESSING = "processing"
    AWAITING_CLEARANCE = "awaiting clearance"
    AWAITING_CONFIRMATION = "awaiting confirmation"
    SCHEDULED = "scheduled"
    EXECUTING = "executing"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    CANCELED = "canceled"
    NOT_RUN = "not run"


# Those that the "executed" functions of the wire tell of.
EXECUTED_STATES = (RunState.SCHEDULED, RunState.EXECUTING, RunState.SUCCESSFUL, RunState.FAILED)
# States in which a campaign's recipients count as addressed: for running-campaign rules, caps and the guard.
LIVE_STATES = (RunState.AWAITING_CLEARANCE, RunState.AWAITING_CONFIRMATION, *EXECUTED_STATES)
FINAL_STATES = (RunState.SUCCESSFUL, RunState.FAILED, RunState.CANCELED, RunState.NOT_RUN)


class CycleState(StrEnum):
    """How far the daily cycle of a data date is."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"

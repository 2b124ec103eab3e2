"""States of journeys and of the customers in them, as records keep them."""

from enum import StrEnum


class JourneyStatus(StrEnum):
    """What a journey does: active takes customers in and moves them on, paused does neither, draining only moves on
    those who are in it, archived has ended for everybody.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    DRAINING = "draining"
    ARCHIVED = "archived"


class MemberState(StrEnum):
    """How far a customer is: active is in the journey, held_out is kept out of it to compare with, ended is final."""

    ACTIVE = "active"
    HELD_OUT = "held_out"
    ENDED = "ended"


class TestMetric(StrEnum):
    """What decides a test: the share of customers who clicked or ordered, or what customers spent."""

    CLICKS = "clicks"
    ORDERS = "orders"
    VALUE = "value"


class DecisionGround(StrEnum):
    """Why a branch won: it was known to be the best, was the best when the time was over, or is the first of those that
    were equally good then.
    """

    KNOWN = "known"
    BEST = "best"
    TIE = "tie"


class Ending(StrEnum):
    """Why a customer's journey ended."""

    COMPLETED = "completed"
    EXITED = "exited"
    ARCHIVED = "archived"
    FAILED = "failed"

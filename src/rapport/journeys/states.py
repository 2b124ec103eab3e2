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


class Ending(StrEnum):
    """Why a customer's journey ended."""

    COMPLETED = "completed"
    EXITED = "exited"
    ARCHIVED = "archived"
    FAILED = "failed"

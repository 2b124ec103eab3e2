"""Records of journeys: what they are, every version of them, who is in them, and the steps that they took."""

from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Date, DateTime, Index, Integer, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.journeys.states import DecisionGround, JourneyStatus, MemberState
from rapport.stores.records import Base
from rapport.stores.records.shapes import Member

UNIQUE_JOURNEY = "uq_journeys_name"


class Journey(Base):
    """A journey by name.

    version is the newest of its versions. changes_until is the newest data date whose changes of its target group have
    come in, None for one that customers do not come into by a group. dates_at is when those come in next whose date it
    is, None for other journeys; dates_after is the place, see audiences.meeting, up to which they have come in then.
    tests_at is when somebody looks next whether its tests have winners, None while it has none that is open.
    """

    __tablename__ = "journeys"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    status: Mapped[JourneyStatus] = mapped_column(Member(JourneyStatus, 10), default=JourneyStatus.ACTIVE)
    version: Mapped[int] = mapped_column(Integer, default=1)
    changes_until: Mapped[date | None] = mapped_column(Date)
    dates_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    dates_after: Mapped[int] = mapped_column(BigInteger, default=-1)
    tests_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(
            UNIQUE_JOURNEY,
            "tenant_id",
            text("lower(name)"),
            unique=True,
            postgresql_where=text(f"status <> '{JourneyStatus.ARCHIVED}'"),
        ),
    )


class JourneyVersion(Base):
    """A definition of a journey: schemas.JourneyBody, kept for as long as somebody began in it."""

    __tablename__ = "journey_versions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    journey_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class JourneyTest(Base):
    """A test of a version whose winner was chosen: the number of its branch, and on which figures of all of them."""

    __tablename__ = "journey_tests"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    journey_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    step: Mapped[str] = mapped_column(String(40), primary_key=True)
    winner: Mapped[int] = mapped_column(Integer)
    ground: Mapped[DecisionGround] = mapped_column(Member(DecisionGround, 10))
    decided_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    branches: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)  # testing.BranchFigures


class JourneyMember(Base):
    """One customer's way through a journey, from coming in on.

    person is the customer id in lower case. entry_key names what brought the customer in, so that it does so once.
    step is where the customer stands, empty before the first one; since is when it was reached, due_at when it is to be
    left without anything else. taken counts the steps. ending and reason say why an ended one ended.
    """

    __tablename__ = "journey_members"
    FIRING_KEYS: ClassVar[str] = "journey:"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    journey_id: Mapped[int] = mapped_column(Integer)
    version: Mapped[int] = mapped_column(Integer)
    person: Mapped[str] = mapped_column(String(310))
    customer_id: Mapped[str] = mapped_column(String(300))
    entry_key: Mapped[str] = mapped_column(String(80))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)  # of the event that brought the customer in
    state: Mapped[MemberState] = mapped_column(Member(MemberState, 10), default=MemberState.ACTIVE)
    step: Mapped[str] = mapped_column(String(40), default="")
    taken: Mapped[int] = mapped_column(Integer, default=0)
    entered_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ending: Mapped[str] = mapped_column(String(10), default="")
    reason: Mapped[str] = mapped_column(String(200), default="")

    __table_args__ = (
        Index("uq_journey_members_entry", "tenant_id", "journey_id", "entry_key", unique=True),
        Index(
            "uq_journey_members_inside",
            "tenant_id",
            "journey_id",
            "person",
            unique=True,
            postgresql_where=text(f"state = '{MemberState.ACTIVE}'"),
        ),
        Index(
            "ix_journey_members_due",
            "tenant_id",
            "journey_id",
            "due_at",
            postgresql_where=text(f"state = '{MemberState.ACTIVE}'"),
        ),
        Index("ix_journey_members_person", "tenant_id", "person", "journey_id", "entered_at"),
        Index("ix_journey_members_step", "tenant_id", "journey_id", "version", "step"),
    )

    def firing_key(self, number: int | str = "") -> str:
        """What the campaign of a step is fired by, by the number of the step; without it how all such keys begin."""
        return f"{self.FIRING_KEYS}{self.id}:{number}"

    @classmethod
    def id_in(cls, firing_key: str) -> int:
        """The number of the member that a key of firing_key names."""
        return int(firing_key.removeprefix(cls.FIRING_KEYS).partition(":")[0])


class JourneyStepTaken(Base):
    """A step that a member reached. result says where it led: a branch, event, time, or what became of its work."""

    __tablename__ = "journey_steps_taken"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    member_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    journey_id: Mapped[int] = mapped_column(Integer)
    version: Mapped[int] = mapped_column(Integer)
    step: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    result: Mapped[str] = mapped_column(String(60), default="")

    __table_args__ = (Index("ix_journey_steps_taken_step", "tenant_id", "journey_id", "version", "step"),)

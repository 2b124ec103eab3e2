"""The filters that the histories of campaigns have in common."""

from typing import Any, Protocol

from rapport.conditions.histories.filters import Filter, Ids, SeriesIds


class OfCampaign(Protocol):
    """A row that says of which campaign, action, channel and template it is."""

    @property
    def campaign(self) -> int:
        """The campaign's id."""

    @property
    def series(self) -> int:
        """The id of its series; 0 without one."""

    @property
    def action(self) -> int:
        """The action's id."""

    @property
    def channel(self) -> int:
        """The channel's id."""

    @property
    def template(self) -> int:
        """The template's id on the channel."""


CAMPAIGN_FILTERS: tuple[Filter[Any], ...] = (
    Filter[OfCampaign]("campaign", Ids("campaign"), "A run of a series", "campaign_id", lambda row: row.campaign),
    # No table of the warehouse has the series, but the campaigns of a series are known.
    Filter[OfCampaign]("series", SeriesIds("series"), "A campaign series", "campaign_id", lambda row: row.series),
    Filter[OfCampaign]("action", Ids("action"), "An action; 1 is control", "action_id", lambda row: row.action),
    Filter[OfCampaign]("channel", Ids("channel"), "A channel", "channel_id", lambda row: row.channel),
    Filter[OfCampaign]("template", Ids("template"), "A template", "template_id", lambda row: row.template),
)

"""The day on which a campaign is sent: that of its processing, or days after it where the campaign has a lead time."""

# SQL of the send day of a row of campaign_recipients.
SEND_DAY = "greatest(execution_date, toDate(scheduled_time))"
# The most days between the two, so that a filter of processing days finds all that were sent since a day.
LONGEST_LEAD = 60

"""The numbers by which what recipients did with a message is stored, reported and read (EventID on the wire)."""

SENT, DELIVERED, OPENED, CLICKED, UNSUBSCRIBED, DROPPED, SPAM_REPORT, BOUNCED = range(8)

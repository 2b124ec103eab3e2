"""The numbers by which what recipients did with a message is stored, reported and read (EventID on the wire).

What machines did (scanners, proxies that fetch everything), and that somebody deleted a message from an inbox, has
numbers of its own, of which the wire and conditions know nothing: whoever counts reactions leaves them out by naming
the others.
"""

SENT, DELIVERED, OPENED, CLICKED, UNSUBSCRIBED, DROPPED, SPAM_REPORT, BOUNCED = range(8)
MACHINE_OPENED, MACHINE_CLICKED, DELETED = 102, 103, 104
# The first number that is no reaction of a person to what a message says.
FIRST_OF_OTHERS = 100

"""The numbers by which what recipients did with a message is stored, reported and read (EventID on the wire).

What machines did (scanners, proxies that fetch everything) has numbers of its own, of which the wire and conditions
know nothing: whoever counts what people did leaves them out by naming the others.
"""

SENT, DELIVERED, OPENED, CLICKED, UNSUBSCRIBED, DROPPED, SPAM_REPORT, BOUNCED = range(8)
MACHINE_OPENED, MACHINE_CLICKED = 102, 103
# The first number that is no person's.
FIRST_OF_MACHINES = 100

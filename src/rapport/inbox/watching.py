"""Which tenants' inboxes have changed, for those who watch one."""

from rapport.stores.workers.listening import Topic
from rapport.stores.workers.watching import TenantWatch


class InboxWatch(TenantWatch):
    """Counts the changes of inboxes by tenant."""

    name = "inbox watch"
    topics = (Topic.INBOX,)

"""Which tenants' sports inventories have changed, for those who follow one."""

from rapport.stores.workers.listening import Topic
from rapport.stores.workers.watching import TenantWatch


class SportsWatch(TenantWatch):
    """Counts the calls of feeds by tenant."""

    name = "sports watch"
    topics = (Topic.SPORTS,)

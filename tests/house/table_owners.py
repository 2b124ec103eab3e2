"""Which package owns each table of both engines, and who may read the tables of others.

The owner alone writes: it knows what must hold in the table, and the locks under which it changes. Others ask its
service to. What goes over all tables by what the schema says of them (backups, the erasure of a person, changes of an
attribute's type) names no table and is not meant.
"""

RECORDS = {
    "stores": ("backups", "holds", "sequences"),
    "access": (
        "api_keys",
        "audit_log",
        "idempotency_keys",
        "login_tokens",
        "tenant_secrets",
        "tenants",
        "users",
    ),
    "customers": (
        "attribute_jobs",
        "attribute_times",
        "attributes",
        "consent_conversions",
        "event_types",
        "imports",
        "pii_removed",
        "table_exchanges",
    ),
    "messaging": (
        "brand_groups",
        "channel_preferences",
        "consent_changes",
        "exclusions",
        "keyword_replies",
        "preference_link_requests",
        "short_links",
        "soft_bounces",
        "suppressed_addresses",
        "suppressions",
        "template_folders",
        "template_versions",
        "templates",
        "tracked_links",
        "topic_subscriptions",
        "topics",
    ),
    "channels": (
        "brand_addresses",
        "brands",
        "channel_apps",
        "channels",
        "dkim_keys",
        "push_numbers",
        "sms_aggregators",
        "sms_submissions",
    ),
    "apps": (
        "app_banners",
        "app_deep_links",
        "device_apps",
        "device_event_keys",
        "installs",
        "provider_errors",
    ),
    "notifications": ("deliveries", "listeners"),
    "in_app": ("in_app_messages", "in_app_users"),
    "inbox": ("inbox_event_keys", "inbox_messages", "pictures"),
    "sports": ("sports_calls", "sports_prices", "sports_records"),
    "insight": ("forecasts", "lifecycle_stages", "microsegments", "model_fits", "value_segments"),
    "audiences": (
        "customer_lists",
        "target_group_counts",
        "target_group_sizes",
        "target_group_snapshots",
        "target_groups",
    ),
    "delivery": ("firing_addresses", "link_clicks", "mail_events", "mail_lanes", "messages"),
    "campaigns": (
        "actions",
        "campaign_channels",
        "campaign_leases",
        "campaign_metrics",
        "campaign_series",
        "campaigns",
        "channel_webhooks",
        "cycles",
        "engagement_buckets",
        "engagements",
    ),
    "placements": ("placements",),
    "promotions": ("promotion_tenants", "promotion_versions", "promotions", "registered_promotions"),
    "redemptions": ("budget_counters", "code_pools", "pool_codes", "promotion_budgets", "redemptions"),
    "realtime": (
        "accepted_events",
        "event_counts",
        "event_keys",
        "event_log",
        "event_recordings",
        "event_tokens",
        "gateways",
        "trigger_firings",
        "trigger_states",
        "user_jwt_keys",
        "visitor_owners",
        "visitors",
    ),
    "transactional": (
        "in_app_sends",
        "push_notifications",
        "push_recipients",
        "transactional_attachments",
        "transactional_recipients",
        "transactional_request_keys",
        "transactional_sends",
    ),
}
WAREHOUSE = {
    "customers": ("activity_events", "customers", "products", "profiles", "transaction_items", "transactions"),
    "insight": ("model_results", "product_recommendations"),
    "audiences": ("customer_lists", "target_group_members"),  # the ids of a list; what it is called is in the records
    "campaigns": (
        "campaign_clearances",
        "campaign_codes",
        "campaign_interactions",
        "campaign_outcomes",
        "campaign_products",
        "campaign_recipients",
        "campaign_rewards",
    ),
    "realtime": ("visitor_events",),
}

# Who writes a table of another all the same: the table, the package, and why it is not the owner who does.
WRITES = {
    ("profiles", "insight"): "the snapshot of a day is made of features and scores; customers change and read it",
}

# Which tables of others a package reads, by why it does not ask their owner.
READS = {
    "apps": {
        "which tenant an app is of": ("tenants",),
    },
    "stores": {
        "how many customers there are tells how much memory a statement takes": ("customers",),
        "a copy of the records has the tenants that the warehouse has databases of": ("tenants",),
    },
    "conditions": {
        "a condition is one SELECT over what customers are and did": (
            "activity_events",
            "campaign_interactions",
            "campaign_outcomes",
            "campaign_recipients",
            "customer_lists",
            "products",
            "profiles",
            "target_group_members",
            "transaction_items",
            "transactions",
        ),
    },
    "sports": {
        "what a brand had goes when the brand is gone": ("brand_groups",),
    },
    "customers": {
        "settings of the tenant are locked while they are changed": ("tenants",),
    },
    "messaging": {
        "addresses and who can be reached are columns of customers": ("customers", "profiles"),
    },
    "insight": {
        "features and models are statements over all histories": (
            "activity_events",
            "campaign_interactions",
            "campaign_recipients",
            "customers",
            "products",
            "profiles",
            "transaction_items",
            "transactions",
        ),
    },
    "audiences": {
        "members of groups are customers, and are told with their profiles": ("customers", "profiles"),
        "the ids that conditions may name, those of what has gone since included": (
            "actions",
            "campaign_channels",
            "campaign_series",
            "campaigns",
            "channels",
            "event_types",
            "templates",
        ),
    },
    "promotions": {
        "many customers are decided about in one statement": ("profiles",),
        "promo codes are choices beside promotions, in one list": ("code_pools", "pool_codes"),
        "whether anything has changed that a condition depends on, in one statement": ("attributes", "tenants"),
    },
    "placements": {
        "what customers bet on is counted and faded in one statement": ("activity_events",),
    },
    "redemptions": {
        "the status of a promotion is read where it is redeemed, and codes must not be those of promotions": (
            "promotions",
        ),
        "a code returns by the state of its message, in one statement": ("messages",),
    },
    "delivery": {
        "what a message says of a customer is read when it leaves": ("customers", "profiles"),
    },
    "campaigns": {
        "the agenda of all tenants": ("tenants",),
        "what of a run has left already is counted for all tenants at once": ("messages",),
        "runs and results join customers, their groups and what they did in one statement": (
            "activity_events",
            "customer_lists",
            "customers",
            "product_recommendations",
            "products",
            "profiles",
            "target_group_members",
            "transaction_items",
            "transactions",
        ),
    },
    "realtime": {
        "firings end and count by their messages, in one statement": ("messages",),
        "triggers and what they name are read in one statement, at every change of any": (
            "attributes",
            "campaign_series",
            "channels",
            "event_types",
            "templates",
            "tenants",
        ),
        "what is filed among the activity of customers and was not before": ("activity_events",),
    },
    "transactional": {
        "what was entered of messages is taken to the log in one statement": ("messages",),
        "how long each tenant keeps its log": ("tenants",),
        "a request is entered if its template still is as it was read, in one statement": (
            "brands",
            "channels",
            "templates",
        ),
    },
    "api": {
        "a read function is one SELECT that the engine renders": (
            "actions",
            "activity_events",
            "brand_addresses",
            "brands",
            "campaign_channels",
            "campaign_codes",
            "campaign_interactions",
            "campaign_products",
            "campaign_recipients",
            "campaigns",
            "channels",
            "event_types",
            "lifecycle_stages",
            "microsegments",
            "model_results",
            "product_recommendations",
            "products",
            "profiles",
            "target_groups",
            "template_folders",
            "templates",
            "tenants",
            "transactional_recipients",
            "value_segments",
        ),
    },
    "demo": {
        "the story goes on when all events and firings of before are done": ("accepted_events", "trigger_firings"),
        "recipients react to what they got": ("campaign_recipients",),
    },
}

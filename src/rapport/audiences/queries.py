"""SQL of audiences."""

# Records: one at a time of what has this name.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"

# Records: the campaigns of a series, for conditions on the campaign history.
CAMPAIGNS_OF_SERIES = "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND series_id = :series_id ORDER BY id"

# What a definition may read of each customer, for slices of customers. Items belong to transactions, not customers.
READ = (
    "profiles",
    "transactions",
    "activity_events",
    "campaign_recipients",
    "campaign_outcomes",
    "campaign_interactions",
    "target_group_members",
    "customer_lists",
)

HAS_PROFILE = "SELECT 1 FROM profiles WHERE data_date = {data_date:Date} LIMIT 1"
COUNT = "SELECT count() FROM ({members})"
SAMPLE = """
    SELECT sipHash64(customer_id) AS place, customer_id FROM ({members})
    ORDER BY place, customer_id LIMIT {{sample:UInt32}}
"""

MEMBERS = """
    SELECT customer_id FROM target_group_members
    WHERE data_date = {data_date:Date} AND target_group_id = {target_group:UInt32}
    ORDER BY customer_id LIMIT {page_top:UInt64} OFFSET {page_skip:UInt64}
"""

# Members are computed aside and put in the place of the partition at once.
MAKE_ASIDE = "CREATE OR REPLACE TABLE {aside} AS target_group_members"
FILL_ASIDE = """
    INSERT INTO {aside} (data_date, target_group_id, customer_id)
    SELECT {{data_date:Date}}, {{target_group:UInt32}}, customer_id FROM ({members})
"""
COUNT_ASIDE = "SELECT count() FROM {aside}"
REPLACE = "ALTER TABLE target_group_members REPLACE PARTITION ('{data_date}', {target_group}) FROM {aside}"
CLEAR = "ALTER TABLE target_group_members DROP PARTITION ('{data_date}', {target_group})"
DROP_ASIDE = "DROP TABLE IF EXISTS {aside}"

KILL = "KILL QUERY WHERE startsWith(query, {tag:String}) ASYNC"

# The ids given for a list, each as the warehouse spells it: known tells which are customers.
KNOWN_CUSTOMERS = """
    SELECT customer_id FROM customers
    WHERE lowerUTF8(customer_id) IN {given:Array(String)} ORDER BY customer_id
"""
FILL_LIST = """
    INSERT INTO customer_lists (list_id, customer_id)
    SELECT {list:UInt32}, customer_id FROM customers WHERE lowerUTF8(customer_id) IN {given:Array(String)}
"""

# A few frequent values of each attribute among some customers; {columns} are topK expressions.
EXAMPLES = """
    SELECT {columns} FROM (SELECT * FROM profiles WHERE data_date = {{data_date:Date}} LIMIT 20000)
"""

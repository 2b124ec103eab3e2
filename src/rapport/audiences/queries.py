"""SQL of audiences."""

# Records: the campaigns of a series, for conditions on the campaign history.
CAMPAIGNS_OF_SERIES = "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND series_id = :series_id ORDER BY id"
SERIES_OF_CAMPAIGNS = "SELECT id, series_id FROM campaigns WHERE tenant_id = :tenant_id AND id = ANY(:campaigns)"

# Records: the ids that filters of the campaign histories may name, those of what has gone since included. A template
# of an outside channel may be any number that a series names.
KNOWN_IDS = {
    "campaign": "SELECT id FROM campaigns WHERE tenant_id = :tenant_id",
    "series": """
        SELECT id FROM campaign_series WHERE tenant_id = :tenant_id
        UNION SELECT series_id FROM campaigns WHERE tenant_id = :tenant_id
    """,
    "event_type": "SELECT id FROM event_types WHERE tenant_id = :tenant_id",
    "action": "SELECT 1 UNION SELECT id FROM actions WHERE tenant_id = :tenant_id",
    "channel": """
        SELECT id FROM channels WHERE tenant_id = :tenant_id
        UNION SELECT channel_id FROM campaign_channels WHERE tenant_id = :tenant_id
    """,
    "template": """
        SELECT id FROM templates WHERE tenant_id = :tenant_id
        UNION SELECT template_id FROM campaign_channels WHERE tenant_id = :tenant_id
        UNION SELECT CAST(channel ->> 'template_id' AS integer)
        FROM campaign_series, jsonb_array_elements(groups) AS recipient_group,
            jsonb_array_elements(recipient_group -> 'channels') AS channel
        WHERE tenant_id = :tenant_id
    """,
}

# Records: groups are told the sizes of a data date, unless they were counted for a later one or changed meanwhile.
TELL_SIZES = """
    UPDATE target_groups AS target_group SET size = counted.size, size_date = counted.data_date, sized_at = :now
    FROM target_group_sizes AS counted
    WHERE target_group.tenant_id = :tenant_id AND counted.tenant_id = :tenant_id
        AND counted.target_group_id = target_group.id AND counted.data_date = :data_date
        AND counted.version = target_group.version
        AND (target_group.size_date IS NULL OR target_group.size_date <= :data_date)
"""
# Of a property of a history: whether a row has it; the names of up to a thousand that rows have.
HAS_PROPERTY = "SELECT 1 FROM {table} WHERE mapContains({properties}, {{name:String}}) LIMIT 1"
PROPERTY_NAMES = "SELECT groupUniqArrayArray(1000)(mapKeys({properties})) FROM {table}"
HAS_LIST = "SELECT count() > 0 FROM (SELECT 1 FROM customer_lists WHERE list_id = {list:UInt32} LIMIT 1)"

# What any definition may read of each customer, for slices of customers; a compiled one names its other tables.
READ = ("profiles", "target_group_members", "customer_lists")

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

# Members on one of two dates only, in order of id.
CHANGED = """
    SELECT customer_id, any(data_date) = {data_date:Date} AS is_in FROM target_group_members
    WHERE target_group_id = {target_group:UInt32} AND data_date IN ({since:Date}, {data_date:Date})
        AND customer_id > {after:String}
    GROUP BY customer_id HAVING uniqExact(data_date) = 1
"""
CHANGES = f"{CHANGED} ORDER BY customer_id LIMIT {{limit:UInt32}}"
COUNT_CHANGES = f"SELECT countIf(is_in), countIf(NOT is_in) FROM ({CHANGED})"  # noqa: S608 - a constant

# A piece of the members, in order of id, with what is asked of their profiles.
MEMBERS_WITH = """
    SELECT member.customer_id{exported} FROM (
        SELECT customer_id FROM target_group_members
        WHERE data_date = {{data_date:Date}} AND target_group_id = {{target_group:UInt32}}
            AND customer_id > {{after:String}}
        ORDER BY customer_id LIMIT {{at_once:UInt32}}
    ) AS member LEFT JOIN (
        SELECT {columns} FROM profiles
        WHERE data_date = {{data_date:Date}} AND customer_id IN (
            SELECT customer_id FROM target_group_members
            WHERE data_date = {{data_date:Date}} AND target_group_id = {{target_group:UInt32}}
                AND customer_id > {{after:String}}
            ORDER BY customer_id LIMIT {{at_once:UInt32}}
        )
    ) AS profile ON profile.known_id = member.customer_id
    ORDER BY member.customer_id
"""

# Members are computed aside and put in the place of the partition at once; where there is none, they become it.
STORED = (
    "SELECT count() FROM {table} WHERE data_date = {{data_date:Date}} AND target_group_id = {{target_group:UInt32}}"
)
MAKE_ASIDE = "CREATE OR REPLACE TABLE {aside} AS target_group_members"
FILL = """
    INSERT INTO {table} (data_date, target_group_id, customer_id) SETTINGS max_insert_threads = 1
    SELECT {{data_date:Date}}, {{target_group:UInt32}}, customer_id FROM ({members})
"""
REPLACE = "ALTER TABLE target_group_members REPLACE PARTITION ('{data_date}', {target_group}) FROM {aside}"
CLEAR = "ALTER TABLE target_group_members DROP PARTITION ('{data_date}', {target_group})"
DROP_ASIDE = "DROP TABLE IF EXISTS {aside}"

KILL = "KILL QUERY WHERE startsWith(query, {tag:String}) ASYNC"

# The ids given for a list, each as the warehouse spells it: known tells which are customers.
KNOWN_CUSTOMERS = """
    SELECT customer_id FROM customers
    WHERE lowerUTF8(customer_id) IN {keys:Array(String)} ORDER BY customer_id
"""
FILL_LIST = """
    INSERT INTO customer_lists (list_id, customer_id)
    SELECT {list:UInt32}, customer_id FROM customers WHERE lowerUTF8(customer_id) IN {keys:Array(String)}
"""

# The ids given for a list, those of customers as the warehouse spells them and the others as they are.
ADD_TO_LIST = """
    INSERT INTO customer_lists (list_id, customer_id)
    SELECT DISTINCT {{list:UInt32}}, if(customer.customer_id = '', listed.customer_id, customer.customer_id)
    FROM {staging} AS listed
    LEFT JOIN customers AS customer ON lowerUTF8(customer.customer_id) = lowerUTF8(listed.customer_id)
"""

# A few frequent values of each attribute among some customers; {columns} are topK expressions.
EXAMPLES = """
    SELECT {columns} FROM (SELECT * FROM profiles WHERE data_date = {{data_date:Date}} LIMIT 20000)
"""

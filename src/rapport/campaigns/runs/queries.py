"""Warehouse SQL of processing a run. A stage table holds one row per member of the target group:

verdict   excluded, capped, unreachable, or empty: addressed, unless it is drawn as control (see drawing)
reason    which rule, for excluded
grp       the recipient group that the customer is, or as control would have been, in, by a hash (see drawing)
lot       what groups and control are drawn by: the lowest lots are held back
faults    per channel of the run: 0 reachable, else an index of messaging's faults
addresses per channel of the run: a hash of the address, when customers of the run share some
zone      the number of the customer's time zone, where customers have times of their own; 0 is the tenant's
best_hour the hour of the customer's day at which he is to get it; 24 where it has none
"""

# ruff: noqa: S608 - statements are put together of constants, checked identifiers and numbers

from string import Template

from rapport.conditions.outcomes import Outcome

NO_TABLE = "DROP TABLE IF EXISTS {table}"

STAGE_TABLE = """
    CREATE TABLE {stage}
    (
        customer_id String,
        verdict     LowCardinality(String),
        reason      LowCardinality(String),
        grp         UInt16,
        lot         UInt64 CODEC(NONE),
        faults      Array(UInt8),
        addresses   Array(UInt64),
        zone        UInt16,
        best_hour   UInt8
    )
    ENGINE = {engine}
"""
STAGE_ORDER = "customer_id"


def named(sql: str) -> str:
    """SQL with the outcomes that it names as members of Outcome: $SENT. Raises KeyError for one that there is not."""
    return Template(sql).substitute({outcome.name: f"'{outcome}'" for outcome in Outcome})


GROUP_MEMBERS = """
    SELECT customer_id FROM target_group_members
    WHERE data_date = {{data_date:Date}} AND target_group_id = {number}
"""

LIST_MEMBERS = "SELECT DISTINCT customer_id FROM customer_lists WHERE list_id = {number}"

# Both sides of the join stand in order of customer_id, so that it merges them without a hash table.
FILL_STAGE = named("""
    INSERT INTO {stage}
    WITH
        multiIf({kept_out}0) AS kept_out,
        {group} AS grp,
        {faults} AS faults,
        {own_times}
    SELECT
        member.customer_id,
        multiIf(
            kept_out > 0, ['', {outcomes}][kept_out + 1],
            NOT ({reachable}), $UNREACHABLE,
            ''
        ),
        ['', {reasons}][kept_out + 1],
        grp,
        {lot},
        faults,
        {addresses},
        zone,
        best_hour
    FROM ({members}) AS member
    LEFT JOIN (SELECT customer_id AS known_id, {columns} FROM profiles WHERE data_date = {{data_date:Date}}) AS profile
        ON profile.known_id = member.customer_id
    {habits}
    SETTINGS join_algorithm = 'full_sorting_merge'
""")

# What the stage reads of each customer, for slices of customers.
STAGE_READS = ("target_group_members", "customer_lists", "profiles", "campaign_recipients")

IN_RUNNING = """
    member.customer_id IN (
        SELECT customer_id FROM campaign_recipients
        WHERE execution_date >= {since:Date} AND campaign_id IN {running:Array(UInt32)}
    )
"""

# Control counts as if it had been sent: a rule that took only the others would leave a control that does not compare.
OVER_CAP = """
    member.customer_id IN (
        SELECT customer_id FROM campaign_recipients
        WHERE execution_date BETWEEN {cap_since:Date} AND {execution_date:Date}
            AND campaign_id IN {cap_campaigns:Array(UInt32)}
        GROUP BY customer_id HAVING sum(messages) >= {cap:UInt32}
    )
"""

# The tables of who was to get what and what became of it, for slices of customers.
ACCOUNT = ("campaign_recipients", "campaign_outcomes")

DELETE_RUN = """
    DELETE FROM {table} WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
"""

COUNT_RUN = """
    SELECT '{table}', count() FROM {table}
    WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
"""

# Which instant a place with the customers' own times has for a customer: by zone, and by hour, of which there are 25.
OF_CUSTOMER = "[greatest(timing, 1)][zone * 25 + best_hour + 1]"
OWN_WALL_TIME = f"{{{{wall_times:Array(Array(UInt32))}}}}{OF_CUSTOMER}"
WALL_TIME = f"multiIf(timing > 0, {OWN_WALL_TIME}, {{awaits}}, {{rest_time}}, scheduled_time)"

# The places of a run stand in arrays, place 0 for the control group: one statement for all of them. Whoever is held
# back keeps the group and the number of messages that it would have had.
ADD_RECIPIENTS = named(
    """
    INSERT INTO campaign_recipients (* EXCEPT (firing_id))
    WITH {timing} AS timing
    SELECT {{execution_date:Date}}, {{campaign:UInt32}}, customer_id, channel, place_group, action, {template},
        {{target_group:UInt32}}, promo_code, toDateTime($WALL_TIME, 'UTC'),
        {{end_date:Date}}, grp,
        if(position > 0, 1, arrayCount(
            (other, place) -> other = grp AND place > 0 AND faults[greatest(place, 1)] = 0,
            {{groups:Array(UInt16)}}, {{positions:Array(UInt8)}}
        )),
        toDateTime(if(timing = 0, 0, {{due_times:Array(Array(UInt32))}}$OF_CUSTOMER), 'UTC'),
        if(timing = 0, '', {{zone_names:Array(String)}}[zone + 1]),
        {portion}
    FROM {stage}
    ARRAY JOIN {{channels:Array(UInt32)}} AS channel, {{groups:Array(UInt16)}} AS place_group,
        {{positions:Array(UInt8)}} AS position, {{actions:Array(UInt32)}} AS action,
        {{templates:Array(UInt32)}} AS template, {{promo_codes:Array(String)}} AS promo_code,
        {{scheduled_times:Array(UInt32)}} AS scheduled_time, {{timings:Array(UInt32)}} AS place_timing{tested}
    WHERE if(position = 0, verdict = $CONTROL,
        verdict = '' AND grp = place_group AND faults[greatest(position, 1)] = 0)
""".replace("$WALL_TIME", WALL_TIME).replace("$OF_CUSTOMER", OF_CUSTOMER)
)

# Who was kept out or held back has one outcome, of no channel; who cannot be reached has one a place of the group.
NOT_ADDRESSED = named("""
    INSERT INTO campaign_outcomes (* EXCEPT (firing_id, drawn_group, written_at))
    SELECT {{execution_date:Date}}, {{campaign:UInt32}}, customer_id, channel,
        if(position = 0, verdict, arrayElement({{outcomes:Array(String)}}, fault + 1)),
        if(position = 0, reason, arrayElement({{reasons:Array(String)}}, fault + 1)),
        '', 0, {{at:DateTime64(3, 'UTC')}}
    FROM (
        SELECT customer_id, verdict, reason, grp, channel, place_group, position,
            if(position = 0, 0, faults[greatest(position, 1)]) AS fault
        FROM (SELECT * FROM {stage} WHERE verdict != '' OR arraySum(faults) > 0)
        ARRAY JOIN {{channels:Array(UInt32)}} AS channel, {{groups:Array(UInt16)}} AS place_group,
            {{positions:Array(UInt8)}} AS position
    )
    WHERE if(position = 0, verdict IN ($EXCLUDED, $CAPPED, $CONTROL),
        verdict IN ('', $UNREACHABLE) AND grp = place_group AND fault > 0)
""")

# By group. Units: a customer kept out or held back is one, any other is one per channel of its group.
STAGE_SIZES = named("""
    SELECT
        grp,
        sum(if(verdict IN ($EXCLUDED, $CAPPED, $CONTROL), 1, {{widths:Array(UInt32)}}[grp])) AS units,
        countIf(verdict = '') AS addressed,
        countIf(verdict = $CONTROL) AS control
    FROM {stage} GROUP BY grp
""")

MOST_MESSAGES = """
    SELECT max(messages) FROM (
        SELECT customer_id, count() AS messages FROM campaign_recipients
        WHERE execution_date = {execution_date:Date} AND campaign_id IN {campaigns:Array(UInt32)} AND channel_id > 0
            AND customer_id IN (
                SELECT customer_id FROM campaign_recipients
                WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32} AND channel_id > 0
            )
        GROUP BY customer_id
    )
"""

COUNT_OUTCOMES = """
    SELECT outcome, count() FROM campaign_outcomes
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
    GROUP BY outcome ORDER BY outcome
"""

# Both in one statement: outcomes with channel 0, then recipients by channel, group and template without an outcome.
ACCOUNTED = """
    SELECT outcome, 0 AS channel, 0 AS place_group, 0 AS template, count() FROM campaign_outcomes
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
    GROUP BY outcome
    UNION ALL
    SELECT '', channel_id, recipient_group_id, template_id, count() FROM campaign_recipients
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32} AND channel_id > 0
    GROUP BY channel_id, recipient_group_id, template_id
"""

RECIPIENTS_BY_PLACE = """
    SELECT channel_id, recipient_group_id, count() FROM campaign_recipients
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
    GROUP BY channel_id, recipient_group_id
"""

ADD_PRODUCTS = """
    INSERT INTO campaign_products
    SELECT {execution_date:Date}, {campaign:UInt32}, customer_id, min(priority) AS best, product_id,
        argMin(recommendation_type, priority)
    FROM product_recommendations
    WHERE data_date = {data_date:Date} AND customer_id IN (
        SELECT customer_id FROM campaign_recipients
        WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32} AND channel_id > 0
    )
    GROUP BY customer_id, product_id
    ORDER BY customer_id, best, product_id
    LIMIT {products:UInt32} BY customer_id
"""

# --- sending: batch 0 is processing, the first batch of a group's range is its start.

CLOSE_REST = """
    INSERT INTO campaign_outcomes (* EXCEPT (firing_id, drawn_group, written_at))
    SELECT execution_date, campaign_id, customer_id, channel_id, {outcome:String}, {reason:String}, '', {batch:UInt32},
        {at:DateTime64(3, 'UTC')}
    FROM campaign_recipients
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32} AND channel_id > 0
        AND ({channel:UInt32} = 0 OR channel_id = {channel:UInt32})
        AND ({group:UInt16} = 0 OR recipient_group_id = {group:UInt16})
        AND ({portion:UInt8} = 0 OR portion = {portion:UInt8})
        AND (customer_id, channel_id) NOT IN (
            SELECT customer_id, channel_id FROM campaign_outcomes
            WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        )
"""

UNIT = """
    FROM campaign_recipients
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        AND channel_id = {channel:UInt32} AND recipient_group_id = {group:UInt16}
        AND ({portion:UInt8} = 0 OR portion = {portion:UInt8})
"""

UNSENT = (
    UNIT
    + """
        AND customer_id NOT IN (
            SELECT customer_id FROM campaign_outcomes
            WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
                AND channel_id = {channel:UInt32} AND batch IN (0, {start:UInt32})
        )
"""
)

# Whoever did something with a message has had it: an outside channel may send before the planned time.
SUPPRESS_LATE = named(
    """
    INSERT INTO campaign_outcomes (* EXCEPT (firing_id, written_at))
    SELECT execution_date, campaign_id, customer_id, channel_id, $SUPPRESSED,
        multiIf(
            lowerUTF8(customer_id) IN (SELECT customer_id FROM SUPPRESSED WHERE fault = {faults:Array(UInt8)}[1]),
            {reasons:Array(String)}[1],
            lowerUTF8(customer_id) IN (SELECT customer_id FROM SUPPRESSED WHERE fault = {faults:Array(UInt8)}[2]),
            {reasons:Array(String)}[2],
            lowerUTF8(customer_id) IN (SELECT customer_id FROM SUPPRESSED WHERE fault = {faults:Array(UInt8)}[3]),
            {reasons:Array(String)}[3],
            {reasons:Array(String)}[4]
        ),
        '', {start:UInt32}, {at:DateTime64(3, 'UTC')}, drawn_group
"""
    + UNSENT
    + """
        AND lowerUTF8(customer_id) IN (SELECT customer_id FROM SUPPRESSED)
        AND customer_id NOT IN (
            SELECT customer_id FROM campaign_interactions
            WHERE delivery_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
                AND channel_id = {channel:UInt32}
        )
"""
)

# Whoever pulls the list of an outside channel must not find those who were kept off it after processing.
WITHDRAW = named(
    "DELETE"
    + UNIT
    + """
        AND customer_id IN (
            SELECT customer_id FROM campaign_outcomes
            WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
                AND channel_id = {channel:UInt32} AND batch = {start:UInt32} AND outcome IN ($SUPPRESSED, $FAILED)
        )
"""
)

BATCH_ENDS = (
    """
    SELECT customer_id FROM (
        SELECT customer_id, row_number() OVER (ORDER BY customer_id) AS n, count() OVER () AS whole
"""
    + UNSENT
    + """
    ) WHERE n % {size:UInt32} = 0 OR n = whole ORDER BY n
"""
)

BATCH = (
    "SELECT customer_id, template_id"
    + UNSENT
    + "AND customer_id > {low:String} AND ({high:String} = '' OR customer_id <= {high:String}) ORDER BY customer_id"
)

# When customers of a unit with times of their own are due, and in which time zone they are.
BATCH_DUE = BATCH.replace("SELECT customer_id,", "SELECT customer_id, toString(due_at),", 1)
TIMES = (
    "SELECT customer_id, toString(due_at), toString(time_zone)" + UNIT + " AND customer_id IN {customers:Array(String)}"
)
ZONES = "SELECT DISTINCT toString(time_zone)" + UNIT

PRODUCTS = """
    SELECT chosen.customer_id, if(product.name = '', chosen.product_id, product.name)
    FROM campaign_products AS chosen LEFT JOIN products AS product ON product.product_id = chosen.product_id
    WHERE chosen.execution_date = {execution_date:Date} AND chosen.campaign_id = {campaign:UInt32}
        AND chosen.customer_id IN {customers:Array(String)}
    ORDER BY chosen.customer_id, chosen.priority, chosen.product_id
"""

COUNT_BATCH = """
    SELECT count() FROM campaign_outcomes
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        AND channel_id = {channel:UInt32} AND batch = {batch:UInt32}
"""

DELETE_BATCH = """
    DELETE FROM campaign_outcomes
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        AND channel_id = {channel:UInt32} AND batch = {batch:UInt32}
"""

COUNT_UNIT = "SELECT count()" + UNIT

LIST_UNIT = named(
    """
    INSERT INTO campaign_outcomes (* EXCEPT (firing_id, drawn_group, written_at))
    SELECT execution_date, campaign_id, customer_id, channel_id, $SENT, 'listed', '', {batch:UInt32},
        {at:DateTime64(3, 'UTC')}
"""
    + UNSENT
)

UNIT_OUTCOMES = (
    """
    SELECT outcome, count() FROM campaign_outcomes
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        AND channel_id = {channel:UInt32} AND customer_id IN (SELECT customer_id
"""
    + UNIT
    + """
    ) GROUP BY outcome
"""
)

# Reasons are few short phrases, see Receipt; messages of a channel may have failed by the million.
FAILURE_REASONS = named("""
    SELECT DISTINCT reason FROM campaign_outcomes
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        AND channel_id = {channel:UInt32} AND outcome = $FAILED
""")

FAILED_RECIPIENTS = named(
    """
    SELECT customer_id, reason FROM campaign_outcomes
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        AND channel_id = {channel:UInt32} AND outcome = $FAILED AND reason IN {reasons:Array(String)}
        AND customer_id IN (SELECT customer_id
"""
    + UNIT
    + ")"
)

# Outcomes, how many there are of each, and how many units there are with one more than that.
COUNT_ENDED = """
    SELECT unit_outcome, sum(outcomes), countIf(outcomes > 1) FROM (
        SELECT any(outcome) AS unit_outcome, count() AS outcomes FROM campaign_outcomes
        WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        GROUP BY customer_id, channel_id
    ) GROUP BY unit_outcome
"""

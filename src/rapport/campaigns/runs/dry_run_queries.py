"""Warehouse SQL of a dry run: what the stage of a run comes to, counted, without writing anything."""

# ruff: noqa: S608 - statements are put together of constants

from rapport.campaigns.runs.queries import WALL_TIME, named

# Units that would get nothing: as NOT_ADDRESSED of a run.
WOULD_NOT_BE_ADDRESSED = named("""
    SELECT channel, unit_outcome, unit_reason, count() FROM (
        SELECT channel,
            if(position = 0, verdict, arrayElement({{outcomes:Array(String)}}, fault + 1)) AS unit_outcome,
            if(position = 0, reason, arrayElement({{reasons:Array(String)}}, fault + 1)) AS unit_reason
        FROM (
            SELECT verdict, reason, grp, channel, place_group, position,
                if(position = 0, 0, faults[greatest(position, 1)]) AS fault
            FROM (SELECT * FROM {stage} WHERE verdict != '' OR arraySum(faults) > 0)
            ARRAY JOIN {{channels:Array(UInt32)}} AS channel, {{groups:Array(UInt16)}} AS place_group,
                {{positions:Array(UInt8)}} AS position
        )
        WHERE if(position = 0, verdict IN ($EXCLUDED, $CAPPED, $CONTROL),
            verdict IN ('', $UNREACHABLE) AND grp = place_group AND fault > 0)
    )
    GROUP BY channel, unit_outcome, unit_reason ORDER BY channel, unit_outcome, unit_reason
""")
WOULD_BE_ADDRESSED = """
    SELECT channel, place_group, count() FROM {stage}
    ARRAY JOIN {{channels:Array(UInt32)}} AS channel, {{groups:Array(UInt16)}} AS place_group,
        {{positions:Array(UInt8)}} AS position
    WHERE position > 0 AND verdict = '' AND grp = place_group AND faults[greatest(position, 1)] = 0
    GROUP BY channel, place_group ORDER BY channel, place_group
"""
# The same by the hour of the tenant's clock at which they would get it.
WOULD_LEAVE = f"""
    WITH {{timing}} AS timing
    SELECT channel, place_group, toString(toStartOfHour(toDateTime({WALL_TIME}, 'UTC'))) AS hour, count()
    FROM {{stage}}
    ARRAY JOIN {{{{channels:Array(UInt32)}}}} AS channel, {{{{groups:Array(UInt16)}}}} AS place_group,
        {{{{positions:Array(UInt8)}}}} AS position, {{{{scheduled_times:Array(UInt32)}}}} AS scheduled_time,
        {{{{timings:Array(UInt32)}}}} AS place_timing{{tested}}
    WHERE position > 0 AND verdict = '' AND grp = place_group AND faults[greatest(position, 1)] = 0
    GROUP BY channel, place_group, hour ORDER BY channel, place_group, hour
"""

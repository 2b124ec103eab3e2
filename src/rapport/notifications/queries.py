"""SQL of the delivery queue. Times are given in, never taken from the database."""

from rapport.notifications.states import DeliveryState, ListenerStatus

# Deliveries that are due, at most :per_listener at a time for each listener (one at a time for a
# listener in trouble) and :per_tenant for all of a tenant's, tenants in turn, leased until :lease. Rows
# that another process looks at are passed over; an expired lease is somebody's who died, so it is due again.
CLAIM = f"""
WITH ready AS MATERIALIZED (
    SELECT listener.tenant_id, listener.id, listener.url, listener.secret,
           CASE WHEN listener.previous_until > :now THEN listener.previous_secret END AS previous_secret,
           CASE WHEN listener.failures >= :trouble THEN 1 ELSE :per_listener END AS allowed
    FROM listeners AS listener
    WHERE listener.status = '{ListenerStatus.ACTIVE}'
      AND (listener.paused_until IS NULL OR listener.paused_until <= :now)
      AND EXISTS (
          SELECT 1 FROM deliveries AS delivery
          WHERE delivery.tenant_id = listener.tenant_id AND delivery.listener_id = listener.id
            AND delivery.state = '{DeliveryState.PENDING}'
      )
),
shared AS MATERIALIZED (
    SELECT *, CASE WHEN turn > left_over THEN 0 ELSE greatest(left_over / of_tenant, 1) END AS share
    FROM (
        SELECT ready.*, busy.running,
               row_number() OVER (PARTITION BY ready.tenant_id ORDER BY random()) AS turn,
               count(*) OVER (PARTITION BY ready.tenant_id) AS of_tenant,
               :per_tenant - sum(busy.running) OVER (PARTITION BY ready.tenant_id) AS left_over
        FROM ready
        CROSS JOIN LATERAL (
            SELECT count(*) AS running FROM deliveries AS delivery
            WHERE delivery.tenant_id = ready.tenant_id AND delivery.listener_id = ready.id
              AND delivery.state = '{DeliveryState.PENDING}' AND delivery.leased_until > :now
        ) AS busy
    ) AS counted
    ORDER BY turn, random()
),
chosen AS MATERIALIZED (
    SELECT due.id, shared.url, shared.secret, shared.previous_secret, taken.room
    FROM shared
    CROSS JOIN LATERAL (
        SELECT CAST(greatest(least(shared.allowed - shared.running, shared.share), 0) AS integer) AS room
    ) AS taken
    CROSS JOIN LATERAL (
        SELECT delivery.id FROM deliveries AS delivery
        WHERE delivery.tenant_id = shared.tenant_id AND delivery.listener_id = shared.id
          AND delivery.state = '{DeliveryState.PENDING}'
          AND (delivery.due_at IS NULL OR delivery.due_at <= :now)
          AND (delivery.leased_until IS NULL OR delivery.leased_until <= :now)
          AND NOT delivery.id = ANY(CAST(:under_way AS bigint[]))
        ORDER BY delivery.id
        LIMIT taken.room
        FOR UPDATE SKIP LOCKED
    ) AS due
    LIMIT :free
)
UPDATE deliveries AS delivery
SET leased_until = :lease, attempts = delivery.attempts + 1,
    first_attempt_at = coalesce(delivery.first_attempt_at, :now)
FROM chosen
WHERE delivery.id = chosen.id
RETURNING delivery.id, delivery.tenant_id, delivery.listener_id, delivery.event_type_id, delivery.message_id,
          delivery.body, delivery.attempts, delivery.first_attempt_at, delivery.url AS own_url,
          chosen.url, chosen.secret, chosen.previous_secret, chosen.room
"""  # noqa: S608 - ours

# The end of one attempt. `attempts` fences out an attempt whose lease ran out and was taken over.
SETTLE = f"""
UPDATE deliveries
SET state = :state, due_at = :due_at, leased_until = NULL, last_status = :status, last_error = :error,
    finished_at = :finished_at
WHERE id = :id AND attempts = :attempts AND state = '{DeliveryState.PENDING}'
"""  # noqa: S608 - ours

# The end of attempts that went well, many at once; the fence is the same. Listeners are taken in order, so
# that two processes never wait for each other crosswise.
SETTLE_DELIVERED = f"""
UPDATE deliveries AS delivery
SET state = '{DeliveryState.DELIVERED}', due_at = NULL, leased_until = NULL, last_status = given.status,
    last_error = '', finished_at = :now
FROM unnest(CAST(:ids AS bigint[]), CAST(:attempts AS integer[]), CAST(:statuses AS integer[]))
    AS given (id, attempts, status)
WHERE delivery.id = given.id AND delivery.attempts = given.attempts AND delivery.state = '{DeliveryState.PENDING}'
"""  # noqa: S608 - ours

LISTENERS_WELL = """
WITH well AS MATERIALIZED (
    SELECT listener.tenant_id, listener.id FROM listeners AS listener
    JOIN unnest(CAST(:tenants AS integer[]), CAST(:listeners AS integer[])) AS given (tenant_id, id)
        ON listener.tenant_id = given.tenant_id AND listener.id = given.id
    WHERE listener.failures > 0 ORDER BY listener.tenant_id, listener.id FOR UPDATE OF listener
)
UPDATE listeners AS listener SET failures = 0, paused_until = NULL FROM well
WHERE listener.tenant_id = well.tenant_id AND listener.id = well.id
"""

LISTENER_FAILED = """
UPDATE listeners SET failures = failures + 1
WHERE tenant_id = :tenant_id AND id = :listener_id
RETURNING failures
"""

LISTENER_PAUSED = """
UPDATE listeners SET paused_until = greatest(paused_until, :until)
WHERE tenant_id = :tenant_id AND id = :listener_id
"""

PARK_ALL = f"""
UPDATE deliveries
SET state = '{DeliveryState.PARKED}', leased_until = NULL, finished_at = :now, last_error = 'listener disabled'
WHERE tenant_id = :tenant_id AND listener_id = :listener_id AND state = '{DeliveryState.PENDING}'
  AND EXISTS (
      SELECT 1 FROM listeners AS listener
      WHERE listener.tenant_id = :tenant_id AND listener.id = :listener_id
        AND listener.status = '{ListenerStatus.DISABLED}'
  )
"""  # noqa: S608 - ours

# Deliveries that are there already stay as they are.
ADD_MANY = """
INSERT INTO deliveries
    (tenant_id, listener_id, event_type_id, event_key, message_id, body, state, attempts, last_error, created_at)
SELECT tenant_id, listener_id, event_type_id, event_key, message_id, body, state, attempts, last_error, created_at
FROM json_to_recordset(CAST(:rows AS json)) AS given(
    tenant_id int, listener_id int, event_type_id int, event_key text, message_id text, body text, state text,
    attempts int, last_error text, created_at timestamptz
)
ON CONFLICT DO NOTHING
"""

# What has ended, on some pages of the table: it has no index by age.
DROP_ENDED = f"""
DELETE FROM deliveries
WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid)
  AND (
      state IN ('{DeliveryState.DELIVERED}', '{DeliveryState.CANCELED}')
          AND coalesce(finished_at, created_at) < :ended_before
      OR state = '{DeliveryState.PARKED}' AND coalesce(finished_at, created_at) < :parked_before
  )
"""  # noqa: S608 - ours

WAITS = f"""
SELECT (SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state = '{DeliveryState.PENDING}' LIMIT :most) AS pending),
       (SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state = '{DeliveryState.PARKED}' LIMIT :most) AS parked),
       (SELECT count(*) FROM listeners WHERE status = '{ListenerStatus.DISABLED}')
"""  # noqa: S608 - ours

-- Real time: where events came from and in which order, visitors' events, firings of triggers.

-- seq is the number that the event was accepted under; 0 for those of files.
ALTER TABLE activity_events ADD COLUMN IF NOT EXISTS visitor_id String DEFAULT '';
ALTER TABLE activity_events ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT 'file';
ALTER TABLE activity_events ADD COLUMN IF NOT EXISTS seq UInt64 DEFAULT 0;
ALTER TABLE activity_events ADD INDEX IF NOT EXISTS by_seq seq TYPE minmax;

-- Events of visitors whom nobody knows yet. They move to activity_events when the visitor is identified.
CREATE TABLE IF NOT EXISTS visitor_events
(
    event_id      String,
    event_type_id UInt32,
    visitor_id    String,
    event_at      DateTime64(3, 'UTC'),
    properties    Map(LowCardinality(String), String),
    origin        LowCardinality(String),
    seq           UInt64,
    INDEX by_seq seq TYPE minmax
)
ENGINE = MergeTree PARTITION BY toYYYYMM(event_at) ORDER BY (visitor_id, event_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- firing_id is the firing of a trigger that made the row; 0 for scheduled campaigns.
ALTER TABLE campaign_recipients ADD COLUMN IF NOT EXISTS firing_id UInt64 DEFAULT 0;
ALTER TABLE campaign_outcomes ADD COLUMN IF NOT EXISTS firing_id UInt64 DEFAULT 0;

-- origin tells who reported: '' Rapport itself, api UpdateCampaignInteractions, metric an external metric event.
ALTER TABLE campaign_interactions ADD COLUMN IF NOT EXISTS app_id LowCardinality(String) DEFAULT '';
ALTER TABLE campaign_interactions ADD COLUMN IF NOT EXISTS origin LowCardinality(String) DEFAULT '';

-- Whom an outside system cleared for a conditional campaign: every report, ids as they came; the last one of a
-- customer, by seq, counts. reported_at is when it was accepted, stated_time what the caller said (tenant wall clock).
CREATE TABLE IF NOT EXISTS campaign_clearances
(
    execution_date Date,
    campaign_id    UInt32,
    customer_id    String,
    status         UInt8,
    seq            UInt64,
    reported_at    DateTime64(3, 'UTC'),
    stated_time    Nullable(DateTime('UTC'))
)
ENGINE = MergeTree PARTITION BY toYYYYMM(execution_date) ORDER BY (execution_date, campaign_id, customer_id, seq)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Events name customers in any case; without it every unknown one is looked for in all.
ALTER TABLE customers ADD INDEX IF NOT EXISTS by_lower lowerUTF8(customer_id) TYPE bloom_filter(0.001) GRANULARITY 1;
ALTER TABLE customers MATERIALIZE INDEX by_lower;

-- Whether a firing's rows are there already is asked before they are written.
ALTER TABLE campaign_recipients ADD INDEX IF NOT EXISTS by_firing firing_id TYPE minmax;
ALTER TABLE campaign_outcomes ADD INDEX IF NOT EXISTS by_firing firing_id TYPE minmax;

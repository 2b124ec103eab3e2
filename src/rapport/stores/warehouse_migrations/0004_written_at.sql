-- When a row was written, by the engine's own clock: exports take from here what came since they were last made.
-- Rows of before have the time of what they tell. The default is set last, so that a repetition begins anew.
ALTER TABLE campaign_outcomes ADD COLUMN IF NOT EXISTS written_at DateTime64(3, 'UTC') DEFAULT recorded_at;
ALTER TABLE campaign_outcomes MODIFY COLUMN written_at DateTime64(3, 'UTC') DEFAULT recorded_at;
ALTER TABLE campaign_outcomes MATERIALIZE COLUMN written_at;
ALTER TABLE campaign_outcomes ADD INDEX IF NOT EXISTS by_written written_at TYPE minmax GRANULARITY 1;
ALTER TABLE campaign_outcomes MATERIALIZE INDEX by_written;
ALTER TABLE campaign_outcomes MODIFY COLUMN written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC');

ALTER TABLE campaign_interactions ADD COLUMN IF NOT EXISTS written_at DateTime64(3, 'UTC') DEFAULT interaction_at;
ALTER TABLE campaign_interactions MODIFY COLUMN written_at DateTime64(3, 'UTC') DEFAULT interaction_at;
ALTER TABLE campaign_interactions MATERIALIZE COLUMN written_at;
ALTER TABLE campaign_interactions ADD INDEX IF NOT EXISTS by_written written_at TYPE minmax GRANULARITY 1;
ALTER TABLE campaign_interactions MATERIALIZE INDEX by_written;
ALTER TABLE campaign_interactions MODIFY COLUMN written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC');

-- When the message to a customer is due who has a time of his own (0: when that of his unit is), and the name of his
-- time zone, by which his quiet hours go.
ALTER TABLE campaign_recipients ADD COLUMN IF NOT EXISTS due_at DateTime('UTC') DEFAULT 0;
ALTER TABLE campaign_recipients ADD COLUMN IF NOT EXISTS time_zone LowCardinality(String) DEFAULT '';

-- Which portion of its group on the channel a recipient belongs to: 0 all of it, 1 those of an A/B test, 2 the rest.
ALTER TABLE campaign_recipients ADD COLUMN IF NOT EXISTS portion UInt8 DEFAULT 0;

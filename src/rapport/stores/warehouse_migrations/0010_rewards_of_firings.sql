-- The firing of a triggered campaign that gave the rewards; 0 for those of a conditional campaign.
ALTER TABLE campaign_rewards ADD COLUMN IF NOT EXISTS firing_id UInt64 DEFAULT 0;

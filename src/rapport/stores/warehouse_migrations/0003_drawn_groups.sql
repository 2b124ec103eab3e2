-- drawn_group is the recipient group that a control member would have been in (0 for rows from before this was kept);
-- messages is how many messages the row stands for in frequency caps: of a control member those it would have had.
ALTER TABLE campaign_recipients ADD COLUMN IF NOT EXISTS drawn_group UInt16 DEFAULT recipient_group_id;
ALTER TABLE campaign_recipients ADD COLUMN IF NOT EXISTS messages UInt8 DEFAULT 1;

-- Whom a gateway did not allow had a group all the same.
ALTER TABLE campaign_outcomes ADD COLUMN IF NOT EXISTS drawn_group UInt16 DEFAULT 0;

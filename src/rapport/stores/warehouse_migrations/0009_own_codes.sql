-- The promo codes of recipients who have unique ones: what stands for promo_code of campaign_recipients, several joined with ','.
-- A recipient may stand here twice, with the same codes.
CREATE TABLE IF NOT EXISTS campaign_codes
(
    execution_date Date,
    campaign_id    UInt32,
    customer_id    String,
    channel_id     UInt32,
    promo_code     String
)
ENGINE = MergeTree PARTITION BY toYYYYMM(execution_date) ORDER BY (execution_date, campaign_id, customer_id, channel_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

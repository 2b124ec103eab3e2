-- What customers of a conditional campaign are to be given: every writing, ids as they came; the last one of a customer, by
-- seq, counts. reward_values has texts by the name of the value (JSON), grants which promotions gave them (JSON); grants
-- is empty for values that an outside system computed.
CREATE TABLE IF NOT EXISTS campaign_rewards
(
    execution_date Date,
    campaign_id    UInt32,
    customer_id    String,
    reward_values  String,
    grants         String,
    seq            UInt64,
    given_at       DateTime64(3, 'UTC')
)
ENGINE = MergeTree PARTITION BY toYYYYMM(execution_date) ORDER BY (execution_date, campaign_id, customer_id, seq)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- The tables of one tenant's warehouse database.
--
-- Column names say what a time is: *_at is an instant (UTC), *_date a calendar day of the tenant,
-- *_time a wall-clock time of the tenant (stored as it reads, in a column typed UTC so that no
-- engine time zone ever shifts it).

-- What batch files and the attribute API say about customers: one row a customer, one column an
-- attribute (column = RealFieldName). More columns are added as attributes are declared.
CREATE TABLE IF NOT EXISTS customers
(
    customer_id       String,
    REGISTRATION_DATE Nullable(Date),
    EMAIL             Nullable(String),
    MOBILE_NUMBER     Nullable(String),
    DATE_OF_BIRTH     Nullable(Date32),
    IS_OPTIN          LowCardinality(Nullable(String)),
    ALLOW_EMAIL       LowCardinality(Nullable(String)),
    ALLOW_SMS         LowCardinality(Nullable(String)),
    ALLOW_PUSH        LowCardinality(Nullable(String)),
    IS_EMAIL_VERIFIED LowCardinality(Nullable(String)),
    IS_SMS_VERIFIED   LowCardinality(Nullable(String)),
    IS_BLOCKED        LowCardinality(Nullable(String)),
    IS_TEST           LowCardinality(Nullable(String)),
    GENDER            LowCardinality(Nullable(String)),
    COUNTRY           LowCardinality(Nullable(String)),
    CITY              Nullable(String),
    ADDRESS           Nullable(String),
    FIRST_NAME        Nullable(String),
    LAST_NAME         Nullable(String),
    LANGUAGE          LowCardinality(Nullable(String)),
    CURRENCY          LowCardinality(Nullable(String)),
    LAST_UPDATED      Nullable(DateTime('UTC'))
)
ENGINE = MergeTree ORDER BY customer_id
SETTINGS enable_block_number_column = 1, enable_block_offset_column = 1, fsync_after_insert = 1, fsync_part_directory = 1;

-- The single customer view: every attribute of every customer on a data date (batch, calculated,
-- model and API). The newest data date is the current profile; older ones serve the changers.
CREATE TABLE IF NOT EXISTS profiles
(
    data_date         Date,
    customer_id       String,
    REGISTRATION_DATE Nullable(Date),
    EMAIL             Nullable(String),
    MOBILE_NUMBER     Nullable(String),
    DATE_OF_BIRTH     Nullable(Date32),
    IS_OPTIN          LowCardinality(Nullable(String)),
    ALLOW_EMAIL       LowCardinality(Nullable(String)),
    ALLOW_SMS         LowCardinality(Nullable(String)),
    ALLOW_PUSH        LowCardinality(Nullable(String)),
    IS_EMAIL_VERIFIED LowCardinality(Nullable(String)),
    IS_SMS_VERIFIED   LowCardinality(Nullable(String)),
    IS_BLOCKED        LowCardinality(Nullable(String)),
    IS_TEST           LowCardinality(Nullable(String)),
    GENDER            LowCardinality(Nullable(String)),
    COUNTRY           LowCardinality(Nullable(String)),
    CITY              Nullable(String),
    ADDRESS           Nullable(String),
    FIRST_NAME        Nullable(String),
    LAST_NAME         Nullable(String),
    LANGUAGE          LowCardinality(Nullable(String)),
    CURRENCY          LowCardinality(Nullable(String)),
    LAST_UPDATED      Nullable(DateTime('UTC'))
)
ENGINE = MergeTree PARTITION BY data_date ORDER BY customer_id
SETTINGS enable_block_number_column = 1, enable_block_offset_column = 1, fsync_after_insert = 1, fsync_part_directory = 1;

-- The model's results per customer and day; kept far longer than whole profiles.
CREATE TABLE IF NOT EXISTS model_results
(
    data_date          Date,
    customer_id        String,
    lifecycle_stage_id UInt8,
    microsegment_id    UInt32,
    value_segment_id   UInt8,
    future_value       Float64,
    churn_probability  Float32
)
ENGINE = MergeTree PARTITION BY data_date ORDER BY customer_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Orders, deposits, bets: everything with a date and an amount.
CREATE TABLE IF NOT EXISTS transactions
(
    transaction_id   String,
    customer_id      String,
    transaction_time DateTime('UTC'),
    type             LowCardinality(String) DEFAULT 'order',
    amount           Float64,
    discount         Float64 DEFAULT 0,
    status           LowCardinality(String) DEFAULT '',
    platform         LowCardinality(String) DEFAULT '',
    promo_code       LowCardinality(String) DEFAULT '',
    properties       Map(LowCardinality(String), String)
)
ENGINE = MergeTree PARTITION BY toYear(transaction_time) ORDER BY (customer_id, transaction_time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS transaction_items
(
    transaction_id   String,
    line_number      UInt32,
    customer_id      String,
    transaction_time DateTime('UTC'),
    product_id       String,
    quantity         Float64 DEFAULT 1,
    unit_price       Float64,
    is_return        UInt8 DEFAULT 0,
    properties       Map(LowCardinality(String), String)
)
ENGINE = MergeTree PARTITION BY toYear(transaction_time) ORDER BY (customer_id, transaction_time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS products
(
    product_id String,
    name       String,
    category   LowCardinality(String) DEFAULT '',
    department LowCardinality(String) DEFAULT '',
    brand      LowCardinality(String) DEFAULT '',
    price      Nullable(Float64),
    is_active  UInt8 DEFAULT 1,
    properties Map(LowCardinality(String), String)
)
ENGINE = MergeTree ORDER BY product_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Activity events of known customers; event_type_id is a number of the records' event types.
CREATE TABLE IF NOT EXISTS activity_events
(
    event_id      String,
    event_type_id UInt32,
    customer_id   String,
    event_at      DateTime64(3, 'UTC'),
    properties    Map(LowCardinality(String), String)
)
ENGINE = MergeTree PARTITION BY toYYYYMM(event_at) ORDER BY (event_type_id, event_at, customer_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS product_recommendations
(
    data_date           Date,
    customer_id         String,
    recommendation_type UInt8,
    priority            UInt8,
    product_id          String
)
ENGINE = MergeTree PARTITION BY data_date ORDER BY (customer_id, priority)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Whom a campaign addresses: one row per campaign, customer and channel, written before anything
-- is sent and never changed. Control members have action 1, channel 0 and template 0.
CREATE TABLE IF NOT EXISTS campaign_recipients
(
    execution_date     Date,
    campaign_id        UInt32,
    customer_id        String,
    channel_id         UInt32,
    recipient_group_id UInt16,
    action_id          UInt32,
    template_id        UInt32,
    target_group_id    UInt32,
    promo_code         LowCardinality(String),
    scheduled_time     DateTime('UTC'),
    end_date           Date
)
ENGINE = MergeTree PARTITION BY toYYYYMM(execution_date) ORDER BY (execution_date, campaign_id, customer_id, channel_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- What became of every targeted customer, with the reason: control, excluded, suppressed, capped,
-- no address, sent, failed. batch names the unit of work that wrote the row, so that a repeated
-- unit replaces its own rows.
CREATE TABLE IF NOT EXISTS campaign_outcomes
(
    execution_date Date,
    campaign_id    UInt32,
    customer_id    String,
    channel_id     UInt32,
    outcome        LowCardinality(String),
    reason         LowCardinality(String),
    message_id     String,
    batch          UInt32,
    recorded_at    DateTime64(3, 'UTC')
)
ENGINE = MergeTree PARTITION BY toYYYYMM(execution_date) ORDER BY (execution_date, campaign_id, customer_id, channel_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- What recipients did: event_id 2 opened, 3 clicked, 4 unsubscribed, 5 dropped, 6 spam report, 7 bounced.
-- delivery_date is the execution date of the campaign, not the day of the interaction.
CREATE TABLE IF NOT EXISTS campaign_interactions
(
    delivery_date      Date,
    campaign_id        UInt32,
    customer_id        String,
    channel_id         UInt32,
    template_id        UInt32,
    recipient_group_id UInt16,
    action_id          UInt32,
    event_id           UInt8,
    interaction_at     DateTime64(3, 'UTC')
)
ENGINE = MergeTree PARTITION BY toYYYYMM(delivery_date) ORDER BY (delivery_date, channel_id, event_id, customer_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Products put before a customer by a campaign whose content recommends products.
CREATE TABLE IF NOT EXISTS campaign_products
(
    execution_date      Date,
    campaign_id         UInt32,
    customer_id         String,
    priority            UInt8,
    product_id          String,
    recommendation_type UInt8
)
ENGINE = MergeTree PARTITION BY toYYYYMM(execution_date) ORDER BY (execution_date, campaign_id, customer_id, priority)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Members of target groups as they were computed for a data date: what runs and other groups use.
CREATE TABLE IF NOT EXISTS target_group_members
(
    data_date       Date,
    target_group_id UInt32,
    customer_id     String
)
ENGINE = MergeTree PARTITION BY (data_date, target_group_id) ORDER BY customer_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Ad hoc lists of customers for one-time campaigns.
CREATE TABLE IF NOT EXISTS customer_lists
(
    list_id     UInt32,
    customer_id String
)
ENGINE = MergeTree ORDER BY (list_id, customer_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

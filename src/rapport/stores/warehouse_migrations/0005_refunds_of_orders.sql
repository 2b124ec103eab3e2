-- The transaction that a refund gives money back of; empty where it names none, and for all that are no refunds.
ALTER TABLE transactions ADD COLUMN IF NOT EXISTS refund_of String DEFAULT '' AFTER promo_code;

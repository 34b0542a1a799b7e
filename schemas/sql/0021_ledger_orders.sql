-- A message of several orders is found by the number of each of them, as by each patient and each specimen (0019).
alter table integration.messages add column more_orders text[];
alter table integration.message_numbers
    drop constraint message_numbers_kind_check,
    add constraint message_numbers_kind_check check (kind in ('patient', 'specimen', 'order'));

-- The newest record of each channel that the ledger has, for the reconciler: looked for in the ledger, a channel that is silent
-- cost a walk through all of it.
alter table integration.channels add column last_seq bigint;

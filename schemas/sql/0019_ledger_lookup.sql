-- The other patients and specimens of a message about several, to find it by: behind row-level security only leakproof operators
-- reach an index, which those of arrays are not. Messages about one, nearly all, have no row here.
create table integration.message_numbers (
    tenant_id    text        not null,
    kind         text        not null check (kind in ('patient', 'specimen')),
    number       text        not null,
    received_at  timestamptz not null,
    stream_seq   bigint      not null,
    record_index smallint    not null,
    primary key (tenant_id, kind, number, received_at, stream_seq, record_index)
);
select integration.protect('integration.message_numbers');
grant select, insert on integration.message_numbers to hub_app;

-- A repeat is looked for by its id within a time. With the id alone in the index, a plan that was made while a day's partition
-- was empty walks the primary key over that time instead.
drop index integration.messages_raw;
create index messages_raw on integration.messages (raw_id, received_at);

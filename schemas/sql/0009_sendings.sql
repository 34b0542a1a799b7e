-- What instruments were told of orders and how they took it; what they asked and how they were answered.

-- One row for each order, channel and direction: the newest word, and since when the instrument may have it.
create table clinical.order_sendings (
    tenant_id    text        not null,
    order_id     uuid        not null references clinical.orders (id),
    channel      text        not null,
    action       text        not null check (action in ('perform', 'cancel')),
    -- sending: on its way, or the hub died before it knew; delivered: taken, and the protocol says no more
    answer       text        not null check (answer in ('sending', 'delivered', 'accepted', 'refused', 'no_answer')),
    reason       text,
    occasion     text        not null check (occasion in ('query', 'download')),
    control_id   text,
    -- messages that carried it
    times        integer     not null default 0,
    first_at     timestamptz not null,
    at           timestamptz not null,
    source_event uuid        not null,
    primary key (order_id, channel, action)
);
create index order_sendings_tenant on clinical.order_sendings (tenant_id, order_id);
select integration.protect('clinical.order_sendings');
grant select, insert, update on clinical.order_sendings to hub_app;

-- Orders that were revoked lately: what is to be taken back from instruments that are told and do not ask.
create index order_tubes_off on clinical.order_tubes (tenant_id, settled_at) where state = 'off';

-- A query and the acknowledgement of something we sent are neither translated nor untranslated.
alter table integration.messages drop constraint messages_outcome_check;
alter table integration.messages add constraint messages_outcome_check
    check (outcome in ('translated', 'not_translated', 'dead', 'duplicate', 'query', 'answer')) not valid;

create table integration.query_answers (
    tenant_id    text        not null,
    raw_id       uuid        not null,
    stream_seq   bigint      not null,
    record_index smallint    not null,
    channel      text        not null,
    outcome      text        not null
        check (outcome in ('found', 'nothing', 'unknown', 'failed', 'refused', 'withdrawn', 'undelivered')),
    specimens    integer     not null,
    tests        integer     not null,
    took_ms      integer     not null,
    reason       text,
    at           timestamptz not null,
    primary key (tenant_id, raw_id, stream_seq, record_index)
);
select integration.protect('integration.query_answers');
grant select, insert, update on integration.query_answers to hub_app;

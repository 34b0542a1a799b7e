-- The backbone's own state. `lanes` is the one table without tenants: it holds only positions in streams.

-- Which events of a stream a worker has applied, per lane. The row is updated in the transaction of the
-- effect and fenced by `epoch`, so that a process that lost its lane can never commit (design.md §4.4).
create table integration.lanes (
    worker      text     not null,
    source      text     not null check (source in ('EVENTS', 'COMMANDS', 'DEAD')),
    lane        smallint not null,
    epoch       bigint   not null default 0,
    applied_seq bigint   not null default 0,
    applied_at  timestamptz,
    primary key (worker, source, lane)
);
alter table integration.lanes set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

-- One row per message that took effect: the second line of defence against a repeat.
create table integration.inbox (
    tenant_id  text        not null,
    event_id   uuid        not null,
    worker     text        not null,
    outcome    text        not null check (outcome in ('applied', 'unchanged', 'refused', 'held')),
    applied_at timestamptz not null default now(),
    -- what the REST call that waits is told (commands only)
    answer     jsonb,
    primary key (event_id, worker)
);
create index inbox_age on integration.inbox using brin (applied_at);
select integration.protect('integration.inbox');

-- What must be said next, committed with the state. One row is one stored message, which may be a record of several.
create table integration.outbox (
    id           bigint      generated always as identity primary key,
    tenant_id    text        not null,
    subject      text        not null,
    headers      jsonb       not null,
    body         bytea       not null,
    causes       uuid[]      not null default '{}',
    created_at   timestamptz not null default now(),
    published_at timestamptz
);
create index outbox_unpublished on integration.outbox (tenant_id, id) where published_at is null;
create index outbox_age on integration.outbox using brin (created_at);
select integration.protect('integration.outbox');

-- The ledger: one narrow row for every arrival in RAW.
create table integration.messages (
    tenant_id      text        not null,
    received_at    timestamptz not null,
    stream_seq     bigint      not null,
    record_index   smallint    not null,
    raw_id         uuid        not null,
    channel        text        not null,
    peer           text,
    size           integer     not null,
    outcome        text        not null check (outcome in ('translated', 'not_translated', 'dead', 'duplicate')),
    message_type   text,
    control_id     text,
    patient_number text,
    accession      text,
    order_number   text,
    visit_number   text,
    bill_number    text,
    events         text[]      not null default '{}',
    unmapped       text[]      not null default '{}',
    notes          text[]      not null default '{}',
    parent         uuid,
    recorded_at    timestamptz not null default now(),
    primary key (received_at, stream_seq, record_index)
) partition by range (received_at);
create index messages_raw on integration.messages (raw_id);
-- rises with the rows, so a block-range index finds a sequence at almost no cost to writers
create index messages_seq on integration.messages using brin (stream_seq) with (autosummarize = on);
create index messages_parent on integration.messages (parent) where parent is not null;
create index messages_patient on integration.messages (tenant_id, patient_number, received_at) where patient_number is not null;
create index messages_accession on integration.messages (tenant_id, accession, received_at) where accession is not null;
create index messages_control on integration.messages (tenant_id, control_id, received_at) where control_id is not null;
create index messages_order on integration.messages (tenant_id, order_number, received_at) where order_number is not null;
create index messages_visit on integration.messages (tenant_id, visit_number, received_at) where visit_number is not null;
create index messages_bill on integration.messages (tenant_id, bill_number, received_at) where bill_number is not null;
select integration.protect('integration.messages');
create table integration.messages_other partition of integration.messages default;
select integration.protect('integration.messages_other');

-- Makes the partitions of the days around today; called by the integration worker and by every migration run.
create function integration.ensure_partitions(days_before integer, days_after integer) returns integer
language plpgsql security definer set search_path = pg_catalog as $$
declare
    day     date;
    made    integer := 0;
    part    text;
begin
    for day in select generate_series(current_date - days_before, current_date + days_after, interval '1 day')::date loop
        part := 'messages_' || to_char(day, 'YYYYMMDD');
        if to_regclass('integration.' || part) is null then
            begin
                execute format(
                    'create table integration.%I partition of integration.messages for values from (%L) to (%L)',
                    part, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
                perform integration.protect(('integration.' || part)::regclass);
                execute format('grant select, insert, update on integration.%I to hub_app', part);
                made := made + 1;
            exception
                when duplicate_table then null;   -- another process made it
                when check_violation then null;   -- rows of that day already stand in the default partition
            end;
        end if;
    end loop;
    return made;
end $$;
grant execute on function integration.ensure_partitions(integer, integer) to hub_app;

-- One open item per thing a person must decide; `waiting` counts what waits behind it.
create table integration.held_items (
    id            bigint      generated always as identity primary key,
    tenant_id     text        not null,
    reason        text        not null,
    channel       text        not null,
    code_system   text        not null default '',
    code          text        not null default '',
    unit          text        not null default '',
    code_text     text,
    sample_value  text,
    sample_report uuid,
    waiting       integer     not null default 0,
    first_at      timestamptz not null default now(),
    last_at       timestamptz not null default now(),
    state         text        not null default 'open' check (state in ('open', 'resolved')),
    resolution    text,
    resolved_by   text,
    resolved_at   timestamptz
);
create index held_listed on integration.held_items (tenant_id, state, id);
create unique index held_open on integration.held_items (tenant_id, reason, channel, code_system, code, unit) where state = 'open';
select integration.protect('integration.held_items');

create table integration.dead_letters (
    id           bigint      generated always as identity primary key,
    tenant_id    text        not null,
    -- what was refused: the event's id, else the raw message's, else the place in the stream
    original     text        not null,
    stage        text        not null,
    refused_by   text        not null,
    reason       text        not null,
    detail       text        not null,
    event_id     uuid,
    event_type   text,
    raw_id       uuid,
    channel      text,
    stream       text        not null,
    stream_seq   bigint      not null,
    record_index smallint    not null,
    attempts     integer     not null,
    first_at     timestamptz not null default now(),
    last_at      timestamptz not null default now(),
    state        text        not null default 'open' check (state in ('open', 'replayed', 'resent', 'discarded')),
    child        uuid,
    resolved_by  text,
    resolved_at  timestamptz,
    resolution   text
);
create unique index dead_once on integration.dead_letters (tenant_id, refused_by, original);
create index dead_listed on integration.dead_letters (tenant_id, state, id);
create index dead_raw on integration.dead_letters (raw_id);
select integration.protect('integration.dead_letters');

create table integration.channels (
    tenant_id       text        not null,
    channel         text        not null,
    kind            text        not null default '',
    desired         text        not null default 'running' check (desired in ('running', 'paused', 'stopped')),
    link            text        not null default 'unknown',
    connections     integer     not null default 0,
    address         text        not null default '',
    error           text,
    link_at         timestamptz,
    last_message_at timestamptz,
    messages        bigint      not null default 0,
    changed_by      text,
    primary key (tenant_id, channel)
) with (fillfactor = 50);
select integration.protect('integration.channels');

-- Incidents of the backbone itself: differences between ledger and stream, weak server settings.
create table integration.incidents (
    id          bigint      generated always as identity primary key,
    tenant_id   text        not null,
    kind        text        not null,
    dedup_key   text        not null,
    detail      text        not null,
    count       integer     not null default 1,
    first_at    timestamptz not null default now(),
    last_at     timestamptz not null default now(),
    resolved_at timestamptz
);
create unique index incidents_open on integration.incidents (tenant_id, kind, dedup_key) where resolved_at is null;
select integration.protect('integration.incidents');

grant select, insert, update on all tables in schema integration to hub_app;
grant delete on integration.inbox, integration.outbox to hub_app;
grant usage on all sequences in schema integration to hub_app;
select integration.ensure_partitions(2, 7);

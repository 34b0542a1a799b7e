-- What instruments are to do, and what they did without anybody having asked: numbers on tubes, the orders that wait for them,
-- reports that nobody's order explains.

-- Channels whose instruments may do it; null: every channel that knows the test.
alter table clinical.orders add column targets text[];
-- Why it is not offered to instruments although it is open.
alter table clinical.orders add column held text check (held in ('specimen_in_use'));
create index order_specimens_of on clinical.order_specimens (specimen_id);

-- A number on a tube, and whose it is while orders wait for it. `subject_key` is null while only results have named the number:
-- the row is then what an order and a result of one number wait for each other on.
create table clinical.tubes (
    tenant_id   text        not null,
    number      text        not null,
    subject_key uuid,
    created_at  timestamptz not null default now(),
    primary key (tenant_id, number),
    unique (tenant_id, number, subject_key)
);
select integration.protect('clinical.tubes');

-- Which orders a tube carries. Open ones refer to the tube by number and patient, so one number can't carry two patients' open
-- orders, whoever writes them and in whatever order; a number is free for another patient when nothing is open on it.
create table clinical.order_tubes (
    tenant_id   text        not null,
    order_id    uuid        not null references clinical.orders (id),
    number      text        not null,
    subject_key uuid        not null,
    state       text        not null check (state in ('open', 'done', 'off')),
    holder      uuid        generated always as (case when state = 'open' then subject_key end) stored,
    created_at  timestamptz not null default now(),
    settled_at  timestamptz,
    primary key (order_id, number),
    check ((state = 'open') = (settled_at is null)),
    foreign key (tenant_id, number, holder) references clinical.tubes (tenant_id, number, subject_key)
);
create index order_tubes_number on clinical.order_tubes (tenant_id, number);
create index order_tubes_open on clinical.order_tubes (tenant_id, created_at, number) where state = 'open';
select integration.protect('clinical.order_tubes');

-- A report that is on nobody's chart until an order explains it or a person claims it.
create table clinical.unmatched_reports (
    tenant_id       text        not null,
    report_id       uuid        not null primary key references clinical.reports (id),
    reason          text        not null check (reason in ('no_specimen', 'unknown_specimen', 'no_open_order', 'patient_mismatch')),
    channel         text        not null,
    specimen_number text,
    -- the patient that the message names, where an order names another
    named_key       uuid,
    at              timestamptz not null default now(),
    state           text        not null default 'open' check (state in ('open', 'matched', 'claimed')),
    -- whose it turned out to be
    subject_key     uuid,
    resolved_by     text,
    resolved_at     timestamptz,
    check ((state = 'open') = (subject_key is null)),
    check ((state = 'open') = (resolved_at is null))
);
create index unmatched_listed on clinical.unmatched_reports (tenant_id, state, at, report_id);
create index unmatched_number on clinical.unmatched_reports (tenant_id, specimen_number) where state = 'open' and specimen_number is not null;
select integration.protect('clinical.unmatched_reports');

grant select, insert, update on clinical.tubes, clinical.order_tubes, clinical.unmatched_reports to hub_app;

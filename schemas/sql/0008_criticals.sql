-- Critical values: one item a result version that is beyond its limits, until somebody was called and read it back.
create table clinical.criticals (
    id            bigint      generated always as identity primary key,
    tenant_id     text        not null,
    report_id     uuid        not null references clinical.reports (id),
    item          smallint    not null,
    version       smallint    not null,
    loinc         text        not null,
    ucum          text        not null,
    -- the limit that it is beyond, as the rule pack has it
    side          text        not null check (side in ('low', 'high')),
    limit_text    text        not null,
    -- version of the rule pack
    judged_by     text        not null,
    raised_at     timestamptz not null default now(),
    due_at        timestamptz not null,
    -- nobody had been called when it was due
    overdue_at    timestamptz,
    state         text        not null default 'open' check (state in ('open', 'acknowledged')),
    told          text,
    read_back     text,
    comment       text,
    acknowledged_by text,
    acknowledged_at timestamptz,
    unique (report_id, item, version),
    check ((state = 'acknowledged') = (told is not null and read_back is not null and acknowledged_by is not null))
);
create index criticals_listed on clinical.criticals (tenant_id, id) where state = 'open';
select integration.protect('clinical.criticals');
grant select, insert, update on clinical.criticals to hub_app;
grant usage on all sequences in schema clinical to hub_app;

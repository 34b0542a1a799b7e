-- Clinical rows carry `subject_key`, the key of the patient identifier as it was sent. Which patient that is,
-- is looked up through patients.identifiers; so a merge or an unmerge re-points nothing here.

create table clinical.encounters (
    tenant_id     text        not null,
    id            uuid        not null primary key,
    encounter_key uuid        not null,
    subject_key   uuid        not null,
    visit_number  text,
    class         text,
    status        text        not null check (status in ('planned', 'in_progress', 'finished', 'cancelled', 'entered_in_error', 'unknown')),
    location      jsonb,
    prior_location jsonb,
    attending     jsonb,
    referring     jsonb,
    service       text,
    disposition   text,
    started_at    timestamptz,
    ended_at      timestamptz,
    -- the newest fact about its fields, and the newest about its status: older ones fill gaps, but overrule nothing
    fact_at       timestamptz not null,
    status_at     timestamptz not null,
    version       integer     not null default 1,
    source_event  uuid        not null,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now()
);
create unique index encounters_once on clinical.encounters (encounter_key);
create index encounters_subject on clinical.encounters (subject_key, created_at, id);
create index encounters_visit on clinical.encounters (tenant_id, visit_number) where visit_number is not null;
select integration.protect('clinical.encounters');

create table clinical.encounter_locations (
    id           bigint      generated always as identity primary key,
    tenant_id    text        not null,
    encounter_id uuid        not null references clinical.encounters (id),
    location     jsonb       not null,
    status       text        not null check (status in ('active', 'completed', 'cancelled')),
    from_at      timestamptz,
    to_at        timestamptz,
    source_event uuid        not null
);
create index encounter_locations_of on clinical.encounter_locations (encounter_id, id);
create unique index encounter_locations_active on clinical.encounter_locations (encounter_id) where status = 'active';
select integration.protect('clinical.encounter_locations');

create table clinical.orders (
    tenant_id     text        not null,
    id            uuid        not null primary key,
    order_key     uuid        not null,
    subject_key   uuid,
    visit_number  text,
    placer_number text,
    filler_number text,
    group_number  text,
    code          text        not null,
    code_system   text,
    code_text     text,
    status        text        not null check (status in ('active', 'on_hold', 'revoked', 'completed', 'cancel_requested', 'unknown', 'entered_in_error')),
    priority      text,
    ordered_by    jsonb,
    ordered_at    timestamptz,
    -- lines joined by line feed
    notes         text,
    -- the newest fact applied to it: older ones fill gaps, but overrule nothing
    fact_at       timestamptz not null,
    version       integer     not null default 1,
    source_event  uuid        not null,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now()
);
create unique index orders_once on clinical.orders (order_key);
create index orders_subject on clinical.orders (subject_key, created_at, id) where subject_key is not null;
create index orders_placer on clinical.orders (tenant_id, placer_number) where placer_number is not null;
create index orders_filler on clinical.orders (tenant_id, filler_number) where filler_number is not null;
select integration.protect('clinical.orders');

create table clinical.specimens (
    tenant_id      text        not null,
    id             uuid        not null primary key,
    specimen_key   uuid        not null,
    number         text,
    filler_number  text,
    subject_key    uuid,
    kind           jsonb,
    body_site      jsonb,
    role           text,
    container      jsonb,
    condition      jsonb,
    collected_at   timestamptz,
    received_at    timestamptz,
    source_event   uuid        not null,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now()
);
create unique index specimens_once on clinical.specimens (specimen_key);
create index specimens_number on clinical.specimens (tenant_id, number) where number is not null;
select integration.protect('clinical.specimens');

create table clinical.order_specimens (
    tenant_id   text not null,
    order_id    uuid not null references clinical.orders (id),
    specimen_id uuid not null references clinical.specimens (id),
    primary key (order_id, specimen_id)
);
select integration.protect('clinical.order_specimens');

-- One row per report (one OBR). `report_key` is the report's identity (workers/clinical/src/reports/key.rs); it begins
-- with the minute of observation, so that keys of one day lie together in the index. Keys are digests that
-- contain the tenant, therefore the indexes on keys do not repeat it.
create table clinical.reports (
    id              uuid        not null primary key,
    report_key      uuid        not null,
    subject_key     uuid,
    -- the event that filed it first
    source_event    uuid        not null,
    received_at     timestamptz not null,
    observed_at     timestamptz,
    issued_at       timestamptz,
    -- the newest fact applied to it: an older one may add, but never overrule
    fact_at         timestamptz not null,
    updated_at      timestamptz not null default now(),
    version         integer     not null default 1,
    tenant_id       text        not null,
    channel         text        not null,
    visit_number    text,
    placer_number   text,
    filler_number   text,
    specimen_number text,
    code            text        not null,
    code_system     text,
    code_text       text,
    -- OBR-25 as sent
    status          text,
    -- lines joined by line feed
    notes           text
);
create unique index reports_once on clinical.reports (report_key);
create index reports_subject on clinical.reports (subject_key, received_at, id) where subject_key is not null;
create index reports_specimen on clinical.reports (tenant_id, specimen_number) where specimen_number is not null;
select integration.protect('clinical.reports');

-- One row per result and version. The current one has no superseded_at; nothing is ever deleted.
-- Twelve of these a message decide the cost of the hub: fixed-width columns first, absent means null (null is
-- free), numbers are the decimal text that was sent (precision is meaning), one index, appended to at its end
-- because report ids are UUIDv7.
create table clinical.results (
    report_id     uuid        not null,
    -- OBX-14
    observed_at   timestamptz,
    superseded_at timestamptz,
    -- the result's place in its report; keeps its number through all versions
    item          smallint    not null,
    version       smallint    not null,
    tenant_id     text        not null,
    code          text        not null,
    code_system   text,
    code_text     text,
    alternate     jsonb,
    sub_id        text,
    -- OBX-2 as sent
    value_type    text,
    value_kind    text        not null,
    comparator    text,
    -- quantity: the decimal text; text and date_time: the value; range and ratio: the two numbers as `a-b`, `a:b`
    value_text    text,
    -- coded, attachment, range, ratio, and the reason of an absent value
    value_json    jsonb,
    -- OBX-5 as sent, where value_text does not say the same
    raw_value     text,
    unit          text,
    loinc         text,
    loinc_display text,
    ucum          text,
    -- decimal text; null = value_text is the value in `ucum`
    ucum_value    text,
    range_text    text,
    range_low     text,
    range_high    text,
    -- OBX-8 as sent, repetitions joined by `~`
    flags         text,
    -- OBX-11 as sent
    status        text,
    device        text,
    notes         text,
    held          text,
    -- null = the event that filed the report first
    source_event  uuid,
    primary key (report_id, item, version)
);
create index results_held on clinical.results (tenant_id, code) where held is not null;
select integration.protect('clinical.results');

-- Mappings that people made over REST; files in mappings/ come first. Looked at only for codes the translator did not know.
create table clinical.code_maps (
    tenant_id   text        not null,
    channel     text        not null,
    code_system text        not null,
    code        text        not null,
    unit        text        not null default '',
    loinc       text        not null,
    display     text,
    ucum        text,
    -- decimal text: value in `ucum` = value as sent × factor
    factor      text,
    actor       text        not null,
    changed_at  timestamptz not null default now(),
    primary key (tenant_id, channel, code_system, code, unit)
);
select integration.protect('clinical.code_maps');

grant select, insert, update on all tables in schema clinical to hub_app;
grant usage on all sequences in schema clinical to hub_app;

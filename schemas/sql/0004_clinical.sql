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
    -- status before the cancellation or discharge that may be taken back
    prior_status  text,
    location      jsonb,
    prior_location jsonb,
    attending     jsonb,
    referring     jsonb,
    service       text,
    disposition   text,
    started_at    timestamptz,
    ended_at      timestamptz,
    fact_at       timestamptz,
    version       integer     not null default 1,
    source_event  uuid        not null,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now()
);
create unique index encounters_once on clinical.encounters (tenant_id, encounter_key);
create index encounters_subject on clinical.encounters (tenant_id, subject_key, started_at);
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
    notes         text[]      not null default '{}',
    fact_at       timestamptz,
    version       integer     not null default 1,
    source_event  uuid        not null,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now()
);
create unique index orders_once on clinical.orders (tenant_id, order_key);
create index orders_subject on clinical.orders (tenant_id, subject_key, ordered_at);
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
create unique index specimens_once on clinical.specimens (tenant_id, specimen_key);
create index specimens_number on clinical.specimens (tenant_id, number) where number is not null;
select integration.protect('clinical.specimens');

create table clinical.order_specimens (
    tenant_id   text not null,
    order_id    uuid not null references clinical.orders (id),
    specimen_id uuid not null references clinical.specimens (id),
    primary key (order_id, specimen_id)
);
select integration.protect('clinical.order_specimens');

create table clinical.reports (
    tenant_id     text        not null,
    id            uuid        not null primary key,
    report_key    uuid        not null,
    subject_key   uuid,
    -- the patient's number as sent, kept where no identifier could be keyed
    channel       text        not null,
    visit_number  text,
    placer_number text,
    filler_number text,
    specimen_number text,
    code          text        not null,
    code_system   text,
    code_text     text,
    status        text,
    observed_at   timestamptz,
    issued_at     timestamptz,
    notes         text[]      not null default '{}',
    version       integer     not null default 1,
    received_at   timestamptz not null,
    source_event  uuid        not null,
    updated_at    timestamptz not null default now()
);
create unique index reports_once on clinical.reports (tenant_id, report_key);
create index reports_subject on clinical.reports (tenant_id, subject_key, received_at);
create index reports_specimen on clinical.reports (tenant_id, specimen_number) where specimen_number is not null;
select integration.protect('clinical.reports');

-- One row per result and version. The current one has no superseded_at; nothing is ever deleted.
create table clinical.results (
    tenant_id     text        not null,
    report_id     uuid        not null,
    item_key      bigint      not null,
    version       smallint    not null,
    position      smallint    not null,
    code          text        not null,
    code_system   text,
    code_text     text,
    sub_id        text,
    value_type    text,
    value_kind    text        not null,
    value_number  numeric,
    comparator    text,
    value_text    text,
    value_json    jsonb,
    unit          text,
    loinc         text,
    loinc_display text,
    ucum          text,
    ucum_value    numeric,
    range_text    text,
    range_low     numeric,
    range_high    numeric,
    flags         text,
    status        text,
    observed_at   timestamptz,
    device        text,
    notes         text,
    held          text,
    source_event  uuid        not null,
    superseded_at timestamptz,
    primary key (report_id, item_key, version)
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
    factor      numeric,
    actor       text        not null,
    changed_at  timestamptz not null default now(),
    primary key (tenant_id, channel, code_system, code, unit)
);
select integration.protect('clinical.code_maps');

grant select, insert, update on all tables in schema clinical to hub_app;
grant usage on all sequences in schema clinical to hub_app;

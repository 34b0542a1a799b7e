create table patients.patients (
    tenant_id          text        not null,
    id                 uuid        not null primary key,
    -- merged: `merged_into` leads to the record that stands for this person
    status             text        not null default 'active' check (status in ('active', 'merged', 'entered_in_error')),
    merged_into        uuid        references patients.patients (id),
    -- true: only an order or a result has named this person so far
    provisional        boolean     not null default false,
    family             text,
    given              text[]      not null default '{}',
    prefix             text,
    suffix             text,
    other_names        jsonb       not null default '[]',
    -- lower-case, all names in one line: what a search by name reads
    name_search        text        not null default '',
    birth_date         text,
    sex                text        check (sex in ('male', 'female', 'other', 'unknown')),
    telecoms           jsonb       not null default '[]',
    -- digits of every telephone number, last ten of each
    phones             text[]      not null default '{}',
    addresses          jsonb       not null default '[]',
    mother_maiden_name text,
    marital_status     text,
    deceased           text,
    version            integer     not null default 1,
    -- the sender's time of the newest fact applied: an older one does not overwrite it
    fact_at            timestamptz,
    created_at         timestamptz not null default now(),
    updated_at         timestamptz not null default now(),
    source_event       uuid        not null,
    check ((status = 'merged') = (merged_into is not null)),
    check (merged_into is distinct from id)
);
create index patients_name on patients.patients using gin (name_search gin_trgm_ops);
create index patients_phones on patients.patients using gin (phones);
create index patients_merged on patients.patients (merged_into) where merged_into is not null;
create index patients_recent on patients.patients (tenant_id, id);
select integration.protect('patients.patients');

create table patients.identifiers (
    tenant_id  text        not null,
    key        uuid        not null primary key,
    system     text        not null,
    value      text        not null,
    kind       text,
    -- the record the identifier was registered on; a merge never changes it
    patient_id uuid        not null references patients.patients (id),
    created_at timestamptz not null default now()
);
create unique index identifiers_once on patients.identifiers (tenant_id, system, value);
create index identifiers_value on patients.identifiers (tenant_id, value);
create index identifiers_patient on patients.identifiers (patient_id);
select integration.protect('patients.identifiers');

create table patients.merges (
    id           bigint      generated always as identity primary key,
    tenant_id    text        not null,
    survivor     uuid        not null references patients.patients (id),
    retired      uuid        not null references patients.patients (id),
    reason       text,
    actor        text        not null,
    source_event uuid        not null,
    merged_at    timestamptz not null default now(),
    unmerged_at  timestamptz,
    unmerged_by  text,
    unmerge_reason text
);
create unique index merges_standing on patients.merges (retired) where unmerged_at is null;
select integration.protect('patients.merges');

create table patients.duplicate_candidates (
    tenant_id  text        not null,
    patient_id uuid        not null references patients.patients (id),
    other_id   uuid        not null references patients.patients (id),
    score      smallint    not null check (score between 1 and 100),
    reasons    text[]      not null,
    state      text        not null default 'open' check (state in ('open', 'merged', 'dismissed')),
    created_at timestamptz not null default now(),
    primary key (patient_id, other_id),
    check (patient_id <> other_id)
);
select integration.protect('patients.duplicate_candidates');

-- The record that stands for a patient: follows merges to the end.
create function patients.standing(start uuid) returns uuid language sql stable as $$
    with recursive chain(id, merged_into, depth) as (
        select p.id, p.merged_into, 0 from patients.patients p where p.id = start
        union all
        select p.id, p.merged_into, c.depth + 1
        from chain c join patients.patients p on p.id = c.merged_into
        where c.depth < 32
    )
    select id from chain order by depth desc limit 1
$$;

-- All records that lead to the same standing record, the record itself included.
create function patients.family_of(standing uuid) returns setof uuid language sql stable as $$
    with recursive family(id, depth) as (
        select standing, 0
        union all
        select p.id, f.depth + 1 from family f join patients.patients p on p.merged_into = f.id where f.depth < 32
    )
    select id from family
$$;

grant select, insert, update on all tables in schema patients to hub_app;
grant usage on all sequences in schema patients to hub_app;
grant execute on all functions in schema patients to hub_app;

-- The patient index. A record holds what its own identifiers' reports said; a merge is a link between two records and
-- copies nothing, so the order of arrival does not matter and an unmerge restores both exactly.

create table patients.patients (
    tenant_id          text        not null,
    -- derived from the key of the first identifier, so that two processes that register it make the same record
    id                 uuid        not null primary key,
    -- merged: `merged_into` leads to the record that stands for this person
    status             text        not null default 'active' check (status in ('active', 'merged', 'entered_in_error')),
    merged_into        uuid        references patients.patients (id),
    -- true: only an order or a result has named this person so far
    provisional        boolean     not null default false,
    -- HumanName, as in the canonical events
    name               jsonb,
    other_names        jsonb       not null default '[]',
    birth_date         text,
    sex                text        check (sex in ('male', 'female', 'other', 'unknown')),
    telecoms           jsonb       not null default '[]',
    addresses          jsonb       not null default '[]',
    mother_maiden_name text,
    marital_status     text,
    deceased           text,
    -- fields that a sender deleted on purpose: an older fact does not fill them
    cleared            text[]      not null default '{}',
    -- rises with every change, a merge included; updates are guarded by it
    version            integer     not null default 1,
    -- the sender's time of the newest fact applied: an older one does not overwrite it
    fact_at            timestamptz,
    created_at         timestamptz not null default now(),
    updated_at         timestamptz not null default now(),
    source_event       uuid        not null,
    check ((status = 'merged') = (merged_into is not null)),
    check (merged_into is distinct from id)
);
create index patients_merged on patients.patients (merged_into) where merged_into is not null;
create index patients_recent on patients.patients (tenant_id, id);
select integration.protect('patients.patients');

create table patients.identifiers (
    tenant_id  text        not null,
    -- digest of tenant, system and value: its uniqueness is the identifier's
    key        uuid        not null primary key,
    system     text        not null,
    value      text        not null,
    kind       text,
    -- the record the identifier was registered on; a merge never changes it
    patient_id uuid        not null references patients.patients (id),
    created_at timestamptz not null default now()
);
create index identifiers_value on patients.identifiers (tenant_id, value);
create index identifiers_patient on patients.identifiers (patient_id);
select integration.protect('patients.identifiers');

-- What a person is found by, and what makes two records look alike. Behind row-level security only leakproof operators
-- reach an index: = and < on text do, trigrams and arrays (GIN) do not. So every key is a row of its own.
create table patients.match_keys (
    tenant_id  text not null,
    -- name: one word of a name, lower-case; mobile: last ten digits; abha: fourteen digits;
    -- name_birth: all words of the name, sorted, and the full date of birth
    kind       text not null check (kind in ('name', 'mobile', 'abha', 'name_birth')),
    key        text collate "C" not null,
    patient_id uuid not null references patients.patients (id),
    primary key (tenant_id, kind, key, patient_id)
);
create index match_keys_patient on patients.match_keys (patient_id);
select integration.protect('patients.match_keys');

create table patients.merges (
    id             bigint      generated always as identity primary key,
    tenant_id      text        not null,
    -- the record that stood for the person at that moment
    survivor       uuid        not null references patients.patients (id),
    retired        uuid        not null references patients.patients (id),
    reason         text,
    actor          text        not null,
    source_event   uuid        not null,
    merged_at      timestamptz not null default now(),
    unmerged_at    timestamptz,
    unmerged_by    text,
    unmerge_reason text
);
create unique index merges_standing on patients.merges (retired) where unmerged_at is null;
create index merges_survivor on patients.merges (survivor);
create index merges_retired on patients.merges (retired);
select integration.protect('patients.merges');

create table patients.duplicate_candidates (
    tenant_id  text        not null,
    -- one row a pair: the smaller id first
    patient_id uuid        not null references patients.patients (id),
    other_id   uuid        not null references patients.patients (id),
    score      smallint    not null check (score between 1 and 100),
    reasons    text[]      not null,
    state      text        not null default 'open' check (state in ('open', 'merged', 'dismissed')),
    created_at timestamptz not null default now(),
    primary key (patient_id, other_id),
    check (patient_id < other_id)
);
create index duplicate_candidates_other on patients.duplicate_candidates (other_id);
create index duplicate_candidates_open on patients.duplicate_candidates (tenant_id, patient_id, other_id) where state = 'open';
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
grant delete on patients.match_keys to hub_app;
grant usage on all sequences in schema patients to hub_app;
grant execute on all functions in schema patients to hub_app;

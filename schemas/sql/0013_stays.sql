-- Facilities, departments, wards, beds, and what the ward's and the front desk's own words add to an encounter.
-- An encounter is one row of clinical.encounters, whoever speaks of it: a hospital system in ADT, or staff over REST.

create extension if not exists btree_gist with schema public;

-- Ids are digests of the codes, so that a place is the same row however often and by whom it is defined. Codes never change:
-- grants (users.grants), ADT messages and encounters name places by them.
create table clinical.facilities (
    tenant_id  text        not null,
    id         uuid        not null primary key,
    code       text        not null,
    name       text        not null,
    -- IANA: in which its days begin and end
    zone       text        not null,
    state      text        not null default 'active' check (state in ('active', 'retired')),
    version    integer     not null default 1,
    updated_by text        not null,
    updated_at timestamptz not null default now()
);
create index facilities_list on clinical.facilities (tenant_id, code, id);
select integration.protect('clinical.facilities');

create table clinical.departments (
    tenant_id   text        not null,
    id          uuid        not null primary key,
    facility_id uuid        not null references clinical.facilities (id),
    code        text        not null,
    name        text        not null,
    state       text        not null default 'active' check (state in ('active', 'retired')),
    version     integer     not null default 1,
    updated_by  text        not null,
    updated_at  timestamptz not null default now(),
    unique (id, facility_id)
);
create index departments_list on clinical.departments (tenant_id, facility_id, code, id);
select integration.protect('clinical.departments');

create table clinical.wards (
    tenant_id     text        not null,
    id            uuid        not null primary key,
    facility_id   uuid        not null references clinical.facilities (id),
    department_id uuid        not null,
    -- HL7 PL.1
    code          text        not null,
    name          text        not null,
    -- general, semi_private, private, icu … : what an admission asks for
    class         text,
    state         text        not null default 'active' check (state in ('active', 'retired')),
    version       integer     not null default 1,
    updated_by    text        not null,
    updated_at    timestamptz not null default now(),
    -- a ward belongs to a department of its own facility
    foreign key (department_id, facility_id) references clinical.departments (id, facility_id)
);
create index wards_list on clinical.wards (tenant_id, facility_id, code, id);
create index wards_code on clinical.wards (tenant_id, upper(code));
select integration.protect('clinical.wards');

-- The register of beds. clinical.beds beside it has every bed that a message ever named.
create table clinical.ward_beds (
    tenant_id    text        not null,
    id           uuid        not null primary key,
    ward_id      uuid        not null references clinical.wards (id),
    -- HL7 PL.3
    code         text        not null,
    -- HL7 PL.2; empty when rooms have no names
    room         text        not null default '',
    -- schemas::devices::Bed::key: how ADT messages and monitors name it
    bed_key      uuid        not null,
    state        text        not null default 'vacant' check (state in ('vacant', 'reserved', 'occupied', 'cleaning', 'blocked')),
    state_reason text,
    state_at     timestamptz not null default now(),
    retired      boolean     not null default false,
    version      integer     not null default 1,
    updated_by   text        not null,
    updated_at   timestamptz not null default now(),
    check (not retired or state in ('vacant', 'cleaning', 'blocked'))
);
create index ward_beds_ward on clinical.ward_beds (ward_id, code, id);
create index ward_beds_key on clinical.ward_beds (bed_key);
create index ward_beds_list on clinical.ward_beds (tenant_id, id);
select integration.protect('clinical.ward_beds');

alter table clinical.encounters
    -- where it stands in its way through the house (workers/clinical/src/stays/stage.rs); null: too little was said of it
    add column stage         text check (stage in ('token', 'called', 'in_consult', 'done', 'no_show', 'requested', 'bed_reserved',
        'admitted', 'discharge_initiated', 'cleared', 'left', 'closed', 'cancelled')),
    -- staff have a part in it over REST: what a hospital system says against that is listed, not only done
    add column desk          boolean not null default false,
    -- value of the patient's identifier as it was given: a monitor may name it without its authority
    add column subject_value text,
    add column department_id uuid references clinical.departments (id),
    add column token_day     date,
    add column token         integer,
    add column reason        text,
    add column priority      text,
    add column payer         text check (payer in ('self', 'insurer')),
    add column ward_class    text,
    add column medico_legal  boolean,
    add column expected_at   timestamptz,
    -- how it ended: {disposition, cause_of_death, form, note}
    add column ending        jsonb;
create unique index encounters_token on clinical.encounters (department_id, token_day, token) where token is not null;
create index encounters_in_house on clinical.encounters (tenant_id, created_at, id)
    where stage in ('requested', 'bed_reserved', 'admitted', 'discharge_initiated', 'cleared', 'left');

update clinical.encounters set stage = case
    when status in ('cancelled', 'entered_in_error') then 'cancelled'
    when class in ('I', 'P') then case status when 'planned' then 'requested' when 'in_progress' then 'admitted' when 'finished' then 'left' end
    else case status when 'planned' then 'token' when 'in_progress' then 'in_consult' when 'finished' then 'done' end
    end
where class is not null and status <> 'unknown';

-- The last token of a department's day.
create table clinical.token_counters (
    tenant_id     text    not null,
    department_id uuid    not null references clinical.departments (id),
    day           date    not null,
    last          integer not null,
    primary key (department_id, day)
);
select integration.protect('clinical.token_counters');

-- Who has which bed of the register when: half-open, without overlap of beds or of people. What turns out never to have been is void.
create table clinical.bed_assignments (
    tenant_id    text        not null,
    id           uuid        not null primary key,
    bed_id       uuid        not null references clinical.ward_beds (id),
    encounter_id uuid        not null references clinical.encounters (id),
    subject_key  uuid        not null,
    kind         text        not null check (kind in ('reserved', 'occupied')),
    period       tstzrange   not null,
    void         boolean     not null default false,
    source_event uuid        not null,
    created_at   timestamptz not null default now(),
    check (not isempty(period) and not lower_inf(period) and lower_inc(period) and not upper_inc(period)),
    constraint one_patient_in_a_bed exclude using gist (bed_id with =, period with &&) where (not void),
    constraint one_bed_for_a_patient exclude using gist (subject_key with =, period with &&) where (not void and kind = 'occupied')
);
create index bed_assignments_encounter on clinical.bed_assignments (encounter_id);
create index bed_assignments_now on clinical.bed_assignments (bed_id) where not void and upper_inf(period);
select integration.protect('clinical.bed_assignments');

create table clinical.discharge_gates (
    tenant_id    text        not null,
    encounter_id uuid        not null references clinical.encounters (id),
    gate         text        not null check (gate in ('clinical', 'pharmacy', 'billing', 'tpa')),
    state        text        not null check (state in ('open', 'cleared', 'not_required')),
    cleared_by   text,
    cleared_at   timestamptz,
    note         text,
    primary key (encounter_id, gate),
    check ((state = 'cleared') = (cleared_at is not null))
);
select integration.protect('clinical.discharge_gates');

-- Where a hospital system's word and the house's own register differ. The word stands on the encounter all the same.
create table clinical.adt_differences (
    id            bigint      generated always as identity primary key,
    tenant_id     text        not null,
    reason        text        not null check (reason in ('bed_unknown', 'bed_occupied', 'bed_not_ready', 'second_bed', 'second_admission',
        'left_with_gates', 'moved_elsewhere', 'cancelled_elsewhere')),
    -- nil where it is not about one encounter, or not about one bed
    encounter_key uuid        not null,
    bed_key       uuid        not null,
    encounter_id  uuid        references clinical.encounters (id),
    bed_id        uuid        references clinical.ward_beds (id),
    -- as the hospital system names it
    place         jsonb,
    source_event  uuid        not null,
    at            timestamptz not null default now(),
    -- settled: its cause is gone; resolved: a person looked at it
    state         text        not null default 'open' check (state in ('open', 'settled', 'resolved')),
    resolved_by   text,
    resolved_at   timestamptz,
    comment       text,
    check ((state = 'open') = (resolved_at is null))
);
create unique index adt_differences_once on clinical.adt_differences (tenant_id, reason, encounter_key, bed_key) where state = 'open';
create index adt_differences_list on clinical.adt_differences (tenant_id, id);
create index adt_differences_bed on clinical.adt_differences (bed_key) where state = 'open';
select integration.protect('clinical.adt_differences');

-- Is a place one of those that somebody holds? A department counts with all its wards; '' is the whole facility. Used wherever a
-- grant's places meet an encounter's, so that a ward's board, lists and charts agree.
create function clinical.is_at(place jsonb, facilities text[], departments text[]) returns boolean language sql stable as $$
    select exists (
        select from unnest(facilities, departments) as held (facility, department)
        where place ->> 'facility' = held.facility
          and (held.department = '' or place ->> 'point_of_care' = held.department
               or exists (select from clinical.wards w
                          join clinical.departments d on d.id = w.department_id
                          join clinical.facilities f on f.id = w.facility_id
                          where f.code = held.facility and d.code = held.department
                            and upper(w.code) = upper(place ->> 'point_of_care'))))
$$;
grant execute on function clinical.is_at(jsonb, text[], text[]) to hub_app;

grant select, insert, update on clinical.facilities, clinical.departments, clinical.wards, clinical.ward_beds, clinical.token_counters,
    clinical.bed_assignments, clinical.discharge_gates, clinical.adt_differences to hub_app;
grant usage on all sequences in schema clinical to hub_app;

-- What staff write into charts, and what the hub makes of it: allergies, conditions, notes, prescriptions, documents; scores,
-- and the tasks that follow from them; registration at a desk.

-- One row an entry, as it is now; what it was stands in chart_history. The kinds share one table because they share all that
-- matters: one patient, one state at a time, versions, nothing deleted. What is particular to a kind is in `body`, which is the
-- canonical type of that kind (schemas::chart).
create table clinical.chart_entries (
    tenant_id     text        not null,
    id            uuid        not null primary key,
    kind          text        not null check (kind in ('allergy', 'condition', 'note', 'prescription', 'document')),
    -- key of the patient identifier that it was written under; a merge changes where it leads, not this
    subject_key   uuid        not null,
    -- which states a kind has and how it comes from one to another is a table of the worker (chart/states.rs)
    state         text        not null,
    -- what it is of, for searches and for the rule below: substance, ICD-10 code, kind of note, media type
    code_system   text,
    code          text,
    title         text,
    body          jsonb       not null,
    visit_number  text,
    -- clinical time: onset, writing, prescribing
    occurred_at   timestamptz not null,
    recorded_at   timestamptz not null default now(),
    recorded_by   text        not null,
    version       integer     not null default 1,
    updated_at    timestamptz not null default now(),
    updated_by    text        not null,
    -- why it is in this state, where a reason was asked for
    reason        text,
    source_event  uuid        not null
);
create index chart_entries_subject on clinical.chart_entries (subject_key, kind, recorded_at, id);
-- one substance stands once in a chart
create unique index chart_entries_allergy on clinical.chart_entries (subject_key, coalesce(code_system, ''), lower(code))
    where kind = 'allergy' and state = 'active';
select integration.protect('clinical.chart_entries');

-- Every version of an entry, the current one included; never changed.
create table clinical.chart_history (
    tenant_id    text        not null,
    entry_id     uuid        not null references clinical.chart_entries (id),
    version      integer     not null,
    -- what was done: record, change, sign, addend …
    action       text        not null,
    state        text        not null,
    body         jsonb       not null,
    actor        text        not null,
    reason       text,
    at           timestamptz not null default now(),
    source_event uuid        not null,
    primary key (entry_id, version)
);
select integration.protect('clinical.chart_history');

-- That somebody asked and the answer was "no allergies": something else than that nobody asked. Ended by an allergy that
-- is recorded, or by a person.
create table clinical.no_known_allergies (
    id           uuid        not null primary key,
    tenant_id    text        not null,
    subject_key  uuid        not null,
    stated_at    timestamptz not null default now(),
    stated_by    text        not null,
    ended_at     timestamptz,
    ended_by     text,
    end_reason   text,
    source_event uuid        not null,
    check ((ended_at is null) = (ended_by is null))
);
create unique index no_known_allergies_standing on clinical.no_known_allergies (subject_key) where ended_at is null;
select integration.protect('clinical.no_known_allergies');

-- Staff's measurements stand beside those of devices: the same table, the same reads, told apart by who entered them.
alter table clinical.vitals drop constraint vitals_matched_by_check;
-- not valid: what stands fits the narrower rule of before, so no scan is needed under the lock
alter table clinical.vitals add constraint vitals_matched_by_check check (matched_by in ('message', 'bed', 'claim', 'entry')) not valid;
alter table clinical.vitals add column entered_by text;
alter table clinical.vitals add column change_reason text;

-- A doctor's order that oxygen saturation is to be kept at 88 to 92 %: only then is the second scale of NEWS2 used.
create table clinical.oxygen_targets (
    id           uuid        not null primary key,
    tenant_id    text        not null,
    subject_key  uuid        not null,
    scale        smallint    not null check (scale = 2),
    reason       text        not null,
    ordered_at   timestamptz not null default now(),
    ordered_by   text        not null,
    ended_at     timestamptz,
    ended_by     text,
    end_reason   text,
    source_event uuid        not null,
    check ((ended_at is null) = (ended_by is null))
);
create unique index oxygen_targets_standing on clinical.oxygen_targets (subject_key) where ended_at is null;
select integration.protect('clinical.oxygen_targets');

-- What a rule pack made of a round of observations. With a part missing there is no total.
create table clinical.scores (
    tenant_id     text        not null,
    id            uuid        not null,
    version       smallint    not null,
    superseded_at timestamptz,
    subject_key   uuid        not null,
    visit_number  text,
    pack          text        not null,
    pack_version  text        not null,
    state         text        not null check (state in ('computed', 'incomplete', 'not_applicable')),
    total         smallint,
    -- the row of the pack that the total matched
    response      text,
    -- part, what was measured, of which measurement, the row that it matched, its points
    parts         jsonb       not null,
    missing       text[]      not null default '{}',
    -- what decides whether the pack applies at all, and whether that was known
    checks        jsonb       not null,
    scale         smallint    not null,
    observed_at   timestamptz not null,
    next_due_at   timestamptz,
    computed_at   timestamptz not null default now(),
    entered_by    text        not null,
    source_event  uuid        not null,
    primary key (id, version),
    check ((state = 'computed') = (total is not null))
);
create unique index scores_current on clinical.scores (id) where superseded_at is null;
create index scores_subject on clinical.scores (subject_key, observed_at, id);
select integration.protect('clinical.scores');

-- What somebody must do for a patient, by a time.
create table clinical.tasks (
    tenant_id       text        not null,
    id              uuid        not null primary key,
    kind            text        not null check (kind in ('deterioration')),
    subject_key     uuid        not null,
    visit_number    text,
    -- the score that asks for it; the newest, when several did
    score_id        uuid,
    trigger         text        not null,
    -- of several triggers the highest counts
    rank            smallint    not null,
    times           integer     not null default 1,
    state           text        not null default 'open' check (state in ('open', 'acknowledged', 'done')),
    raised_at       timestamptz not null default now(),
    due_at          timestamptz not null,
    acknowledged_at timestamptz,
    acknowledged_by text,
    done_at         timestamptz,
    done_by         text,
    outcome         text,
    source_event    uuid        not null,
    check ((state = 'done') = (done_at is not null and done_by is not null and outcome is not null))
);
-- one open task a patient and kind: the next score that asks for it moves it, and opens no second one
create unique index tasks_open on clinical.tasks (subject_key, kind) where state = 'open';
create index tasks_listed on clinical.tasks (tenant_id, due_at, id) where state <> 'done';
create index tasks_subject on clinical.tasks (subject_key, raised_at, id);
select integration.protect('clinical.tasks');

-- Who corrected a result by hand, and why; the result's versions themselves stand where they always do.
create table clinical.result_amendments (
    tenant_id    text        not null,
    report_id    uuid        not null references clinical.reports (id),
    item         smallint    not null,
    version      smallint    not null,
    actor        text        not null,
    reason       text        not null,
    at           timestamptz not null default now(),
    source_event uuid        not null,
    primary key (report_id, item, version)
);
select integration.protect('clinical.result_amendments');

grant select, insert, update on clinical.chart_entries, clinical.no_known_allergies, clinical.oxygen_targets, clinical.scores,
    clinical.tasks to hub_app;
grant select, insert on clinical.chart_history, clinical.result_amendments to hub_app;

-- Registration at a desk.
alter table patients.patients add column restricted boolean not null default false;
alter table patients.identifiers add column ended_at timestamptz;
alter table patients.identifiers add column ended_by text;
alter table patients.identifiers add column end_reason text;

-- The numbers that a facility gives its patients. A number that was given is never given again, so there may be gaps.
create table patients.number_series (
    tenant_id  text    not null,
    facility   text    not null,
    prefix     text    not null,
    width      smallint not null check (width between 1 and 12),
    next       bigint  not null default 1 check (next > 0),
    -- of the definition; numbers that are given leave it as it is
    version    integer not null default 1,
    changed_at timestamptz not null default now(),
    primary key (tenant_id, facility)
);
select integration.protect('patients.number_series');
grant select, insert, update on patients.number_series to hub_app;

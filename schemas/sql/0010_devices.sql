-- Bedside devices: who was in which bed when, what was measured there, and alarms.

-- What hospital systems said about beds, as it came; never changed. Stays are computed from all of an encounter's rows in the
-- order of their times, so it does not matter in which order they arrived.
create table clinical.bed_movements (
    id            bigint      generated always as identity primary key,
    tenant_id     text        not null,
    encounter_key uuid        not null,
    subject_key   uuid        not null,
    -- value of the identifier as sent: a monitor may name it without its authority
    subject_value text        not null,
    action        text        not null,
    at            timestamptz not null,
    -- PV1-45
    discharged_at timestamptz,
    -- null: the message names no place; without a bed: a place that is no bed
    place         jsonb,
    source_event  uuid        not null unique
);
create index bed_movements_of on clinical.bed_movements (encounter_key, at, id);
select integration.protect('clinical.bed_movements');

-- Every bed that was ever named, as it was named: tells an empty bed from an unknown one, and one bed from two of a name.
create table clinical.beds (
    tenant_id text not null,
    bed_key   uuid not null,
    room      text not null,
    facility  text not null,
    first_at  timestamptz not null default now(),
    primary key (bed_key, room, facility)
);
select integration.protect('clinical.beds');

-- Who was in a bed, from when and, where it is over, to when (exclusive). `n` counts within the encounter; a row that a later
-- computation has no use for is void.
create table clinical.bed_stays (
    tenant_id     text        not null,
    encounter_key uuid        not null,
    n             smallint    not null,
    subject_key   uuid        not null,
    subject_value text        not null,
    bed_key       uuid        not null,
    ward          text        not null,
    bed           text        not null,
    room          text        not null,
    facility      text        not null,
    from_at       timestamptz not null,
    to_at         timestamptz,
    void          boolean     not null default false,
    primary key (encounter_key, n),
    check (to_at > from_at)
);
create index bed_stays_of_bed on clinical.bed_stays (bed_key, from_at) where not void;
select integration.protect('clinical.bed_stays');

-- Measurements that are on nobody's chart, one item for all of one origin and reason: a monitor that sends every second makes
-- one item, not one a second.
create table clinical.unmatched_vitals (
    id            bigint      generated always as identity primary key,
    tenant_id     text        not null,
    reason        text        not null check (reason in ('no_bed', 'bed_unknown', 'bed_ambiguous', 'bed_empty', 'two_patients', 'patient_mismatch', 'clock')),
    channel       text        not null,
    -- lane of all its measurements (schemas::devices::origin_key)
    origin_key    uuid        not null,
    bed_key       uuid,
    place         jsonb,
    device        text,
    -- the patient that the messages name
    named_key     uuid,
    first_at      timestamptz not null,
    last_at       timestamptz not null,
    waiting       integer     not null,
    at            timestamptz not null default now(),
    state         text        not null default 'open' check (state in ('open', 'explained', 'claimed', 'discarded')),
    resolved_by   text,
    resolved_at   timestamptz,
    comment       text,
    check ((state = 'open') = (resolved_at is null))
);
create unique index unmatched_vitals_once on clinical.unmatched_vitals
    (tenant_id, channel, origin_key, reason, coalesce(device, ''), coalesce(named_key, '00000000-0000-0000-0000-000000000000')) where state = 'open';
create index unmatched_vitals_bed on clinical.unmatched_vitals (bed_key) where state = 'open';
select integration.protect('clinical.unmatched_vitals');

-- One row a measurement and version; the current one has no superseded_at. Apart from laboratory results: many, without a
-- report, and found by patient and time.
create table clinical.vitals (
    tenant_id     text        not null,
    -- identity of the measurement: origin, device, place in the device, code and time
    vital_key     uuid        not null,
    version       smallint    not null,
    superseded_at timestamptz,
    observed_at   timestamptz not null,
    -- what the time was taken from
    timed_by      text        not null check (timed_by in ('observation', 'report', 'message', 'arrival')),
    received_at   timestamptz not null,
    fact_at       timestamptz not null,
    channel       text        not null,
    -- whose it is, and how that is known; null: it waits in `item_id`
    subject_key   uuid,
    matched_by    text        check (matched_by in ('message', 'bed', 'claim')),
    item_id       bigint      references clinical.unmatched_vitals (id),
    -- the patient that the message names
    named_key     uuid,
    named_value   text,
    bed_key       uuid,
    place         jsonb,
    device        text,
    code          text        not null,
    code_system   text,
    code_text     text,
    alternate     jsonb,
    path          text,
    container     text,
    value_type    text,
    value_kind    text        not null,
    comparator    text,
    value_text    text,
    value_json    jsonb,
    raw_value     text,
    unit          text,
    loinc         text,
    loinc_display text,
    ucum          text,
    ucum_value    text,
    range_text    text,
    flags         text,
    status        text,
    method        text,
    site          jsonb,
    held          text,
    source_event  uuid        not null,
    primary key (vital_key, version),
    check ((subject_key is null) = (matched_by is null)),
    check (subject_key is not null or item_id is not null)
);
create unique index vitals_current on clinical.vitals (vital_key) where superseded_at is null;
create index vitals_subject on clinical.vitals (subject_key, observed_at, vital_key) where subject_key is not null;
create index vitals_item on clinical.vitals (item_id, observed_at) where subject_key is null;
create index vitals_bed on clinical.vitals (bed_key, observed_at) where matched_by = 'bed';
create index vitals_held on clinical.vitals (tenant_id, code) where held is not null;
select integration.protect('clinical.vitals');

-- Questions about codes of monitors that were put on the worklist: asked once, not once a second.
create table clinical.vital_questions (
    tenant_id   text not null,
    channel     text not null,
    code_system text not null,
    code        text not null,
    unit        text not null,
    asked_at    timestamptz not null default now(),
    primary key (tenant_id, channel, code_system, code, unit)
);
select integration.protect('clinical.vital_questions');

-- One row an alarm. Secondary notification only: the bedside is the alarm of record.
create table clinical.alarms (
    tenant_id     text        not null,
    id            uuid        not null primary key,
    channel       text        not null,
    device        text,
    -- whom the messages name, else who was in the bed when it began
    subject_key   uuid,
    named_key     uuid,
    named_value   text,
    bed_key       uuid,
    place         jsonb,
    code          text        not null,
    code_system   text,
    code_text     text,
    path          text,
    source        text,
    text          text,
    kind          text,
    -- of the newest message about it
    priority      text,
    state         text,
    inactivation  text[]      not null default '{}',
    abnormality   text,
    measured      jsonb,
    -- first seen, newest start, newest end, newest message of whatever phase
    begun_at      timestamptz not null,
    started_at    timestamptz,
    ended_at      timestamptz,
    last_at       timestamptz not null,
    -- rank of the phase of the newest message: of two at one time the end counts
    last_rank     smallint    not null,
    messages      integer     not null,
    -- an end that no newer start follows; what only goes on does not open it again
    status        text        generated always as (case
        when ended_at is not null and (started_at is null or ended_at >= started_at) then 'ended'
        when state = 'latched' then 'latched'
        else 'active' end) stored
);
create index alarms_listed on clinical.alarms (tenant_id, status, begun_at, id);
create index alarms_subject on clinical.alarms (subject_key, begun_at, id) where subject_key is not null;
create index alarms_bed on clinical.alarms (bed_key, begun_at) where bed_key is not null;
select integration.protect('clinical.alarms');

-- The names by which messages speak of an alarm (OBR-3, OBR-29).
create table clinical.alarm_names (
    tenant_id text not null,
    channel   text not null,
    name      text not null,
    alarm_id  uuid not null references clinical.alarms (id),
    primary key (tenant_id, channel, name)
);
select integration.protect('clinical.alarm_names');

-- What became of an alarm: messages that changed it. What only says that it goes on is counted on the alarm.
create table clinical.alarm_events (
    id           bigint      generated always as identity primary key,
    tenant_id    text        not null,
    alarm_id     uuid        not null references clinical.alarms (id),
    at           timestamptz not null,
    phase        text        not null,
    state        text,
    inactivation text[]      not null default '{}',
    priority     text,
    value        text,
    text         text,
    source_event uuid        not null
);
create index alarm_events_of on clinical.alarm_events (alarm_id, at, id);
select integration.protect('clinical.alarm_events');

grant select, insert, update on clinical.bed_movements, clinical.beds, clinical.bed_stays, clinical.unmatched_vitals,
    clinical.vitals, clinical.vital_questions, clinical.alarms, clinical.alarm_names, clinical.alarm_events to hub_app;
grant usage on all sequences in schema clinical to hub_app;

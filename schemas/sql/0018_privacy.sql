-- What a patient agreed to, and what he asks about his data (Digital Personal Data Protection Act 2023). Treatment in an emergency
-- needs no consent and asks for none here.

create table patients.consents (
    tenant_id       text        not null,
    id              uuid        not null primary key,
    patient_id      uuid        not null references patients.patients (id),
    -- one word: treatment_sharing, research, messages …
    purpose         text        not null check (purpose ~ '^[a-z][a-z0-9_]{1,39}$'),
    -- which notice he was shown, and in which language (BCP 47)
    notice_version  text        not null,
    notice_language text        not null,
    given_by        text        not null check (given_by in ('patient', 'guardian', 'nominee')),
    given_at        timestamptz not null,
    until           timestamptz,
    recorded_by     text        not null,
    recorded_at     timestamptz not null default now(),
    withdrawn_at    timestamptz,
    withdrawn_by    text,
    withdraw_reason text,
    check (until is null or until > given_at),
    check ((withdrawn_at is null) = (withdrawn_by is null))
);
-- one consent at a time for one purpose; what was withdrawn stays
create unique index consents_standing on patients.consents (patient_id, purpose) where withdrawn_at is null;
select integration.protect('patients.consents');

create table patients.privacy_requests (
    tenant_id   text        not null,
    id          uuid        not null primary key,
    patient_id  uuid        not null references patients.patients (id),
    kind        text        not null check (kind in ('access', 'correction', 'erasure', 'grievance')),
    detail      text        not null,
    state       text        not null default 'received' check (state in ('received', 'in_progress', 'completed', 'rejected')),
    received_at timestamptz not null,
    due_at      timestamptz not null check (due_at > received_at),
    -- what was done, or why not
    resolution  text,
    version     integer     not null default 1,
    opened_by   text        not null,
    opened_at   timestamptz not null default now(),
    decided_by  text,
    decided_at  timestamptz,
    check ((state in ('completed', 'rejected')) = (resolution is not null))
);
create index privacy_requests_patient on patients.privacy_requests (patient_id);
create index privacy_requests_due on patients.privacy_requests (tenant_id, due_at, id) where state in ('received', 'in_progress');
select integration.protect('patients.privacy_requests');

grant select, insert, update on patients.consents, patients.privacy_requests to hub_app;

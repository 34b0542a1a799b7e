-- Patients' own log-ins: a user who belongs to one patient. Nothing is deleted: what ended carries when, by whom and why.

create table users.patient_logins (
    tenant_id  text        not null,
    user_id    uuid        not null primary key references users.users (id),
    -- the record that it was made for: never changed. Whose record is shown is what stands for this one now
    made_for   uuid        not null,
    -- the record that stood for it when a merge was last heard of: what is counted below
    patient_id uuid        not null,
    version    integer     not null default 1,
    created_by text        not null,
    created_at timestamptz not null default now(),
    ended_at   timestamptz,
    ended_by   text,
    -- desk: somebody ended it; merge: of two of one patient the other one survived
    ended_as   text        check (ended_as in ('desk', 'merge')),
    end_reason text,
    check ((ended_at is null) = (ended_by is null)),
    check ((ended_at is null) = (ended_as is null)),
    check ((ended_at is null) = (end_reason is null))
);
-- the rule itself: one log-in of a patient at a time
create unique index patient_logins_one on users.patient_logins (tenant_id, patient_id) where ended_at is null;
create index patient_logins_made_for on users.patient_logins (made_for);
create index patient_logins_patient on users.patient_logins (patient_id);
select integration.protect('users.patient_logins');

grant select, insert, update on users.patient_logins to hub_app;

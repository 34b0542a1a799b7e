-- Verification of results that come from analyzers: whether a version may be acted on, who or what said so, and by which rules.
-- Results of channels whose source has verified them (a laboratory system) have no row here.

create table clinical.verifications (
    id                bigint      generated always as identity primary key,
    tenant_id         text        not null,
    report_id         uuid        not null references clinical.reports (id),
    item              smallint    not null,
    version           smallint    not null,
    -- false: a later version of the result counts
    current           boolean     not null default true,
    channel           text        not null,
    -- as sent
    code              text        not null,
    code_system       text,
    sub_id            text,
    loinc             text,
    ucum              text,
    subject_key       uuid,
    specimen_number   text,
    measured_at       timestamptz not null,
    state             text        not null check (state in ('received', 'needs_review', 'verified', 'rejected', 'released')),
    -- the first check that failed (workers/clinical/src/verification/checks.rs), and why; of a rejected run: `run`
    failed            text,
    reason            text,
    -- a flag of the instrument that stops it: verified only with a reason
    blocked           boolean     not null default false,
    -- version of the rule pack, and who approved it
    pack              text        not null,
    approved_by       text,
    -- a person, or `rules`; null: nobody yet
    decided_by        text,
    decided_at        timestamptz,
    released_at       timestamptz,
    -- another version or run of this result was released before
    corrects_released boolean     not null default false,
    -- somebody asked for another run
    rerun_by          text,
    rerun_at          timestamptz,
    rerun_order       uuid        references clinical.orders (id),
    -- somebody took its rejection back: the rules do not look at it again
    reopened_by       text,
    -- people who entered or edited it: where the pack asks for two persons, they can't verify it
    makers            text[]      not null default '{}',
    -- rises with every change; who decides says which one he saw
    revision          integer     not null default 1,
    at                timestamptz not null default now(),
    unique (report_id, item, version),
    check ((state in ('received', 'needs_review')) = (decided_by is null)),
    check ((decided_by is null) = (decided_at is null)),
    check ((state = 'released') = (released_at is not null)),
    check ((rerun_by is null) = (rerun_at is null))
);
create index verifications_open on clinical.verifications (tenant_id, id) where current and state in ('received', 'needs_review');
create index verifications_open_of on clinical.verifications (subject_key, id) where current and state in ('received', 'needs_review');
create index verifications_listed on clinical.verifications (tenant_id, channel, id);
create index verifications_tube on clinical.verifications (tenant_id, specimen_number, channel, code) where specimen_number is not null;
create index verifications_measured on clinical.verifications (tenant_id, channel, code, measured_at);
create index verifications_by_people on clinical.verifications (tenant_id, channel, loinc, ucum) where state in ('verified', 'released') and decided_by <> 'rules';
select integration.protect('clinical.verifications');

create table clinical.verification_comments (
    id              bigint      generated always as identity primary key,
    tenant_id       text        not null,
    verification_id bigint      not null references clinical.verifications (id),
    actor           text        not null,
    comment         text        not null,
    at              timestamptz not null default now()
);
create index verification_comments_of on clinical.verification_comments (verification_id, id);
select integration.protect('clinical.verification_comments');

-- One row a report that has results to verify.
create table clinical.report_releases (
    tenant_id   text        not null,
    report_id   uuid        not null primary key references clinical.reports (id),
    -- open: at least one of its results waits
    state       text        not null check (state in ('open', 'released', 'rejected')),
    -- how often it was released: a correction opens it again
    releases    integer     not null default 0,
    released_at timestamptz,
    check ((releases = 0) = (released_at is null)),
    check (state <> 'released' or releases > 0)
);
select integration.protect('clinical.report_releases');

-- the run before and after a result, by level
create index qc_results_level on clinical.qc_results (tenant_id, channel, code, level, observed_at) where z is not null;

grant select, insert, update on clinical.verifications, clinical.report_releases to hub_app;
grant select, insert on clinical.verification_comments to hub_app;
grant usage on all sequences in schema clinical to hub_app;

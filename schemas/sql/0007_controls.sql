-- Control material (QC), apart from patients: what a lot should measure, what it measured, what was decided.

create table clinical.qc_targets (
    tenant_id  text             not null,
    -- the channel, the sample number under which its instrument reports the material, and the analyte as sent
    channel    text             not null,
    material   text             not null,
    code       text             not null,
    lot        text             not null,
    level      text             not null,
    mean       double precision not null,
    sd         double precision not null check (sd > 0),
    -- as given: shown, not computed with
    mean_text  text             not null,
    sd_text    text             not null,
    unit       text,
    actor      text             not null,
    changed_at timestamptz      not null default now(),
    primary key (tenant_id, channel, material, code)
);
select integration.protect('clinical.qc_targets');

create table clinical.qc_runs (
    tenant_id    text        not null,
    id           uuid        not null primary key,
    -- digest of channel, number, time and values: the same run sent again is one run
    run_key      uuid        not null unique,
    channel      text        not null,
    material     text,
    observed_at  timestamptz not null,
    source_event uuid        not null,
    recorded_at  timestamptz not null default now()
);
select integration.protect('clinical.qc_runs');

create table clinical.qc_results (
    id           bigint      generated always as identity primary key,
    tenant_id    text        not null,
    run_id       uuid        not null references clinical.qc_runs (id),
    channel      text        not null,
    material     text,
    code         text        not null,
    code_text    text,
    loinc        text,
    value_text   text,
    unit         text,
    flags        text,
    observed_at  timestamptz not null,
    -- the target it was judged by; a new lot begins its own series
    lot          text,
    level        text,
    mean_text    text,
    sd_text      text,
    z            double precision,
    verdict      text        not null check (verdict in ('in_control', 'warning', 'rejected', 'not_checked')),
    -- rules that it broke; of one that was not checked, why: no_target, no_number, other_unit
    rules        text[]      not null default '{}',
    -- version of the rule pack
    judged_by    text        not null,
    state        text        not null check (state in ('none', 'open', 'accepted', 'rejected')),
    decided_by   text,
    decided_at   timestamptz,
    comment      text,
    check ((verdict = 'not_checked') = (z is null)),
    check ((state in ('accepted', 'rejected')) = (decided_by is not null and comment is not null))
);
create index qc_results_series on clinical.qc_results (tenant_id, channel, code, observed_at);
create index qc_results_listed on clinical.qc_results (tenant_id, id) where state = 'open';
select integration.protect('clinical.qc_results');

grant select, insert, update on clinical.qc_targets, clinical.qc_runs, clinical.qc_results to hub_app;
grant usage on all sequences in schema clinical to hub_app;

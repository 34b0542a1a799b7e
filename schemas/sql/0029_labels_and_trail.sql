-- A tube is looked up by the number that stands on it: its own, else the laboratory's for it.
create index specimens_label on clinical.specimens (tenant_id, (coalesce(number, filler_number)));
drop index clinical.specimens_number;

-- Whose data were written, by the patient's key, to find the entries by: behind row-level security only leakproof operators reach an
-- index, which those of arrays are not. Written with the entry; the summaries of what machines wrote have no rows here.
create table audit.entries_about (
    tenant_id   text   not null,
    subject_key uuid   not null,
    entry_id    bigint not null references audit.entries (id),
    primary key (tenant_id, subject_key, entry_id)
);
select integration.protect('audit.entries_about');
grant select, insert on audit.entries_about to hub_app;

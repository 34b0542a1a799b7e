-- Whose data an entry of the trail is about, to find the entries by: looks at patients' data, and what people did with them. Written with
-- the entry; what machines write by the thousand has no rows here.
--
-- An index over the array in the entry is none: behind row-level security only leakproof operators reach an index, which those of
-- arrays are not (PostgreSQL 15 §41.5). And its keys were collected aside and filed by the megabyte (§70.4.1), in whichever look came then: every look
-- behind it waited for that, a tenth of a second and more.
create table audit.entries_about (
    tenant_id text   not null,
    -- a patient's record, or the key that clinical data of a patient go by
    object_id uuid   not null,
    entry_id  bigint not null,
    primary key (tenant_id, object_id, entry_id)
);
-- of all tenants, by the owner, who is under their policies too
alter table audit.entries no force row level security;
insert into audit.entries_about
select distinct e.tenant_id, o.id, e.id from audit.entries e cross join unnest(e.objects) as o (id) where e.action like 'read.%';
alter table audit.entries force row level security;
select integration.protect('audit.entries_about');
grant select, insert on audit.entries_about to hub_app;
drop index audit.entries_reads;

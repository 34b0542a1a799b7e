-- A look at a page of patients is one row with dozens of keys. Postgres collects such keys aside and files megabytes of them
-- at once (PostgreSQL 15 §70.4.1), in whichever look comes then; every look that waits behind it waits for that, a tenth of a second and
-- more. Filed one by one they cost the same and nobody waits for those of others.
alter index audit.entries_reads set (fastupdate = off);
select gin_clean_pending_list('audit.entries_reads');

-- A tube is looked up by the number that stands on it: its own, else the laboratory's for it.
create index specimens_label on clinical.specimens (tenant_id, (coalesce(number, filler_number)));
drop index clinical.specimens_number;

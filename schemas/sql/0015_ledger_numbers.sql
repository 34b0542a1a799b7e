-- A message may be about several patients and tubes (a rack's results, a batch): all their numbers, where one is not all.
alter table integration.messages add column more_patients text[];
alter table integration.messages add column more_accessions text[];

-- How a query was answered serves for weeks, not for ever: an instrument that asks for every tube writes a row each time.
create index query_answers_at on integration.query_answers (tenant_id, at);
grant delete on integration.query_answers to hub_app;

-- The nine schemas, and the helper that puts a table behind row-level security.
-- The program's role (hub_app) is created by whoever creates the database; it owns nothing.

create schema users;
create schema patients;
create schema clinical;
create schema billing;
create schema accounting;
create schema inventory;
create schema notifications;
create schema audit;
create schema integration;

create extension if not exists pg_trgm with schema public;

-- Every table that holds a tenant's rows is passed through this function once.
create function integration.protect(target regclass) returns void language plpgsql as $$
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format(
        'create policy tenant on %s using (tenant_id = current_setting(''hub.tenant'', true)) '
        'with check (tenant_id = current_setting(''hub.tenant'', true))', target);
end $$;

grant usage on schema users, patients, clinical, billing, accounting, inventory, notifications, audit, integration to hub_app;

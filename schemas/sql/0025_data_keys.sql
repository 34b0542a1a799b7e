-- Keys that columns are sealed with, each wrapped under a master key that is not here. They lie with what they seal, so that a
-- backup of this database needs nothing else but the master key.

create table integration.data_keys (
    tenant_id text        not null,
    -- the newest seals; all open
    number    integer     not null check (number > 0),
    -- which master key wrapped it
    master    text        not null,
    wrapped   bytea       not null,
    made_at   timestamptz not null default now(),
    primary key (tenant_id, number)
);
select integration.protect('integration.data_keys');
-- updated when it is wrapped anew
grant select, insert, update on integration.data_keys to hub_app;

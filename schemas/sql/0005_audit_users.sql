-- Append-only: the program's role may insert and read, never change or delete.
create table audit.entries (
    id          bigint      generated always as identity primary key,
    tenant_id   text        not null,
    recorded_at timestamptz not null default now(),
    actor       text        not null,
    action      text        not null,
    -- opaque id, or the name of a kind of thing when the entry is about many
    object      text        not null,
    -- ids of all that one transaction touched
    objects     uuid[]      not null default '{}',
    reason      text,
    -- events or commands that caused it
    causes      uuid[]      not null default '{}',
    detail      jsonb
);
create index entries_time on audit.entries (tenant_id, recorded_at);
create index entries_object on audit.entries (tenant_id, object);
select integration.protect('audit.entries');

-- The chain is laid by one sealer after the fact, so that writers never wait for each other.
create table audit.chain (
    tenant_id text        not null,
    position  bigint      not null,
    entry_id  bigint      not null unique references audit.entries (id),
    -- sha256(previous digest || canonical text of the entry)
    digest    bytea       not null check (length(digest) = 32),
    sealed_at timestamptz not null default now(),
    primary key (tenant_id, position)
);
select integration.protect('audit.chain');
grant select, insert on audit.entries, audit.chain to hub_app;
grant usage on all sequences in schema audit to hub_app;

create table users.users (
    tenant_id     text        not null,
    id            uuid        not null primary key,
    username      text        not null,
    -- argon2id, PHC string
    password_hash text        not null,
    permissions   text[]      not null default '{}',
    state         text        not null default 'active' check (state in ('active', 'locked', 'disabled')),
    created_at    timestamptz not null default now(),
    unique (tenant_id, username)
);
select integration.protect('users.users');
grant select, insert, update on users.users to hub_app;

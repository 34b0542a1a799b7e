-- Tenants of the installation, their plans, and the signed roots of their audit chains.
-- What belongs to the installation and to no customer belongs to the tenant `platform`, which no customer can be.

-- What a customer may have. A limit that is absent is none; none ever stops a message, a clinical write or a read.
create table users.plans (
    code       text        not null primary key check (code ~ '^[a-z][a-z0-9_]{1,39}$'),
    name       text        not null,
    -- {"users": 25, "api_per_minute": 6000}
    limits     jsonb       not null default '{}' check (jsonb_typeof(limits) = 'object'),
    features   text[]      not null default '{}',
    version    integer     not null default 1,
    updated_by text        not null,
    updated_at timestamptz not null default now()
);
alter table users.plans enable row level security;
alter table users.plans force row level security;
create policy platform on users.plans using (current_setting('hub.tenant', true) = 'platform')
    with check (current_setting('hub.tenant', true) = 'platform');
-- a tenant's own limits are its plan's: it may read plans, and change none
create policy tenant on users.plans for select using (coalesce(current_setting('hub.tenant', true), '') <> '');

create table users.tenants (
    tenant_id        text        not null primary key check (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,31}$'),
    name             text        not null,
    state            text        not null check (state in ('draft', 'provisioning', 'trial', 'active', 'past_due', 'suspended', 'closed')),
    plan             text        not null references users.plans (code),
    -- what this tenant has otherwise than its plan says; null takes a limit away
    limits           jsonb       not null default '{}' check (jsonb_typeof(limits) = 'object'),
    -- who asks for a tenant twice under one key gets one tenant
    provisioning_key text        unique,
    state_reason     text,
    state_since      timestamptz not null default now(),
    -- newest export that was taken while nothing could be written
    exported_at      timestamptz,
    version          integer     not null default 1,
    created_by       text        not null,
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now()
);
select integration.protect('users.tenants');
create policy platform on users.tenants using (current_setting('hub.tenant', true) = 'platform')
    with check (current_setting('hub.tenant', true) = 'platform');
grant select, insert, update on users.plans, users.tenants to hub_app;

-- The digest of a tenant's chain at the end of a day (UTC), signed with a key that opens under a secret that is not here.
create table audit.roots (
    tenant_id      text        not null,
    day            date        not null,
    first_position bigint      not null check (first_position > 0),
    last_position  bigint      not null,
    digest         bytea       not null check (length(digest) = 32),
    kid            text        not null,
    signature      bytea       not null,
    signed_at      timestamptz not null default now(),
    check (last_position >= first_position),
    primary key (tenant_id, day)
);
select integration.protect('audit.roots');

-- Ed25519. The installation's, hence the tenant `platform`'s.
create table audit.root_keys (
    tenant_id  text        not null check (tenant_id = 'platform'),
    kid        text        not null primary key,
    public     bytea       not null check (length(public) = 32),
    sealed     bytea       not null,
    created_at timestamptz not null default now()
);
select integration.protect('audit.root_keys');
grant select, insert on audit.roots, audit.root_keys to hub_app;

-- The sealer asks for a tenant's newest entries by their number, also for tenants that write little.
create index entries_tenant on audit.entries (tenant_id, id);
-- Who saw this patient's data. Only reads are in it: what the flow of messages writes pays nothing for it.
create index entries_reads on audit.entries using gin (objects) where action like 'read.%';

-- Incidents are seen by a person; what nobody sees in time is escalated, once.
alter table integration.incidents
    add column acknowledged_by text,
    add column acknowledged_at timestamptz,
    add column note            text,
    add column escalated_at    timestamptz,
    add check ((acknowledged_by is null) = (acknowledged_at is null));
-- Failures that are alike are counted when one more comes.
create index dead_recent on integration.dead_letters (tenant_id, reason, last_at);

select set_config('hub.tenant', 'platform', true);
insert into users.plans (code, name, limits, updated_by) values
    ('unlimited', 'Unlimited', '{}', 'hub'),
    ('trial', 'Trial', '{"users": 25, "api_per_minute": 6000}', 'hub');
insert into users.tenants (tenant_id, name, state, plan, created_by) values ('platform', 'Platform', 'active', 'unlimited', 'hub');

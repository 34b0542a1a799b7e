-- Identity and access: users, roles, grants, sessions, second factors, API clients, broken glass, signing keys.
-- Nothing is deleted but refresh tokens long out of date: what ended carries when, by whom and why.

alter table users.users
    add column display_name    text        not null default '',
    -- a password that somebody else made up: good for one sign-in that changes it, and not after this time
    add column must_change     boolean     not null default false,
    add column one_time_until  timestamptz,
    add column password_set_at timestamptz not null default now(),
    add column state_reason    text,
    add column version         integer     not null default 1,
    add column created_by      text        not null default 'hub',
    add column updated_at      timestamptz not null default now();

-- Roles of the tenant's own making. The built-in ones come with the program (workers/identity/data/roles.toml).
create table users.roles (
    tenant_id   text        not null,
    code        text        not null check (code ~ '^[a-z][a-z0-9_]{1,39}$'),
    name        text        not null,
    permissions text[]      not null,
    state       text        not null default 'active' check (state in ('active', 'retired')),
    version     integer     not null default 1,
    updated_by  text        not null,
    updated_at  timestamptz not null default now(),
    primary key (tenant_id, code)
);
select integration.protect('users.roles');

-- A role at a place for a time. No facility: the whole tenant; no department: the whole facility.
create table users.grants (
    tenant_id  text        not null,
    id         uuid        not null primary key,
    user_id    uuid        not null references users.users (id),
    role       text        not null,
    facility   text,
    department text,
    starts_at  timestamptz not null default now(),
    ends_at    timestamptz,
    granted_by text        not null,
    created_at timestamptz not null default now(),
    ended_at   timestamptz,
    ended_by   text,
    end_reason text,
    check (department is null or facility is not null),
    check (ends_at is null or ends_at > starts_at)
);
create index grants_user on users.grants (user_id) where ended_at is null;
select integration.protect('users.grants');

-- One sign-in and all tokens that follow from it.
create table users.sessions (
    tenant_id    text        not null,
    id           uuid        not null primary key,
    user_id      uuid        not null references users.users (id),
    -- how it was proved (RFC 8176): pwd, otp, kba
    amr          text[]      not null,
    peer         text,
    agent        text,
    created_at   timestamptz not null default now(),
    last_used_at timestamptz not null default now(),
    expires_at   timestamptz not null,
    ended_at     timestamptz,
    ended_by     text,
    end_reason   text
);
create index sessions_user on users.sessions (user_id, created_at desc);
select integration.protect('users.sessions');

-- Only digests (SHA-256 of 256 random bits). A used one that comes again ends the whole session.
create table users.refresh_tokens (
    tenant_id  text        not null,
    digest     bytea       not null primary key check (length(digest) = 32),
    session_id uuid        not null references users.sessions (id),
    issued_at  timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at    timestamptz
);
create index refresh_tokens_session on users.refresh_tokens (session_id);
select integration.protect('users.refresh_tokens');

create table users.factors (
    tenant_id    text        not null,
    id           uuid        not null primary key,
    user_id      uuid        not null references users.users (id),
    kind         text        not null check (kind in ('totp')),
    -- AES-256-GCM under a key derived from [api] token_secret; bound to the id of this row
    sealed       bytea       not null,
    state        text        not null default 'pending' check (state in ('pending', 'active', 'removed')),
    -- RFC 6238 §5.2: no step is accepted twice, nor one before it
    last_step    bigint      not null default 0,
    created_at   timestamptz not null default now(),
    confirmed_at timestamptz,
    ended_at     timestamptz,
    ended_by     text
);
create unique index factors_one_active on users.factors (user_id) where state = 'active';
create unique index factors_one_pending on users.factors (user_id) where state = 'pending';
select integration.protect('users.factors');

create table users.recovery_codes (
    tenant_id text        not null,
    factor_id uuid        not null references users.factors (id),
    digest    bytea       not null check (length(digest) = 32),
    used_at   timestamptz,
    primary key (factor_id, digest)
);
select integration.protect('users.recovery_codes');

-- Programs. Their permissions are their scopes.
create table users.clients (
    tenant_id       text        not null,
    id              uuid        not null primary key,
    name            text        not null,
    permissions     text[]      not null,
    -- empty: from anywhere
    allowed_from    cidr[]      not null default '{}',
    rate_per_minute integer     not null check (rate_per_minute between 1 and 60000),
    state           text        not null default 'active' check (state in ('active', 'disabled')),
    version         integer     not null default 1,
    created_by      text        not null,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    unique (tenant_id, name)
);
select integration.protect('users.clients');

create table users.client_secrets (
    tenant_id  text        not null,
    id         uuid        not null primary key,
    client_id  uuid        not null references users.clients (id),
    digest     bytea       not null check (length(digest) = 32),
    created_by text        not null,
    created_at timestamptz not null default now(),
    -- set when a newer one took its place: both hold until then
    expires_at timestamptz
);
create index client_secrets_client on users.client_secrets (client_id);
select integration.protect('users.client_secrets');

-- A chart opened in an emergency by somebody who has no relationship with the patient.
create table users.broken_glass (
    tenant_id   text        not null,
    id          uuid        not null primary key,
    user_id     uuid        not null references users.users (id),
    username    text        not null,
    patient_id  uuid        not null,
    reason      text        not null,
    opened_at   timestamptz not null default now(),
    expires_at  timestamptz not null,
    reviewed_at timestamptz,
    reviewed_by text,
    finding     text check (finding in ('justified', 'not_justified')),
    note        text,
    check (reviewed_by is distinct from username)
);
create index broken_glass_open on users.broken_glass (tenant_id, opened_at desc);
create index broken_glass_user on users.broken_glass (user_id, expires_at);
select integration.protect('users.broken_glass');

grant select, insert, update on users.roles, users.grants, users.sessions, users.refresh_tokens, users.factors,
    users.recovery_codes, users.clients, users.client_secrets, users.broken_glass to hub_app;
-- one for every quarter of an hour of every user: pruned when their session is long over
grant delete on users.refresh_tokens to hub_app;
create index refresh_tokens_expires on users.refresh_tokens (expires_at);

-- Keys that sign access tokens: of the installation, not of a tenant, hence without tenant_id and policy. The private half is
-- sealed under a key that is not in the database; the public half is what the JWKS shows.
create table users.signing_keys (
    kid          text        not null primary key,
    modulus      bytea       not null,
    exponent     bytea       not null,
    sealed       bytea       not null,
    created_at   timestamptz not null default now(),
    -- from then on it signs, until a newer one does; before, it is published, so that everybody knows it in time
    signs_from   timestamptz not null,
    verify_until timestamptz not null
);
grant select, insert, update on users.signing_keys to hub_app;

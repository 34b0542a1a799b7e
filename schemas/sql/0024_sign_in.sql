-- Passkeys, and people whom an identity provider vouches for. Nothing is deleted but marks of challenges long out of date: what
-- ended carries when, by whom and why.

-- WebAuthn credentials: client-side discoverable, with user verification. Nothing here is a secret.
create table users.passkeys (
    tenant_id     text        not null,
    id            uuid        not null primary key,
    user_id       uuid        not null references users.users (id),
    name          text        not null,
    credential_id bytea       not null check (length(credential_id) between 16 and 1023),
    -- as webauthn_rp encodes them (StaticState, DynamicState)
    public_key    bytea       not null,
    state         bytea       not null check (length(state) = 7),
    -- WebAuthn §6.1.1: an authenticator that counts never counts backwards; 0: it does not count
    sign_count    bigint      not null check (sign_count >= 0),
    transports    smallint    not null,
    -- it exists on more than one device
    synced        boolean     not null,
    created_at    timestamptz not null default now(),
    last_used_at  timestamptz,
    ended_at      timestamptz,
    ended_by      text,
    end_reason    text,
    -- also one that was removed: an authenticator makes no id twice
    constraint passkeys_credential unique (tenant_id, credential_id)
);
create index passkeys_user on users.passkeys (user_id) where ended_at is null;
select integration.protect('users.passkeys');

-- A person at an identity provider: issuer and subject, which never change and are never given to another (OpenID Connect Core §5.7).
create table users.subjects (
    tenant_id    text        not null,
    id           uuid        not null primary key,
    user_id      uuid        not null references users.users (id),
    provider     text        not null,
    issuer       text        not null,
    subject      text        not null,
    -- by himself, by an invitation, by a claim that the configuration trusts
    linked       text        not null check (linked in ('self', 'invitation', 'claim')),
    linked_by    text        not null,
    created_at   timestamptz not null default now(),
    last_used_at timestamptz,
    ended_at     timestamptz,
    ended_by     text,
    end_reason   text
);
create unique index subjects_standing on users.subjects (tenant_id, issuer, subject) where ended_at is null;
create unique index subjects_one_of_provider on users.subjects (user_id, provider) where ended_at is null;
select integration.protect('users.subjects');

create table users.invitations (
    tenant_id  text        not null,
    digest     bytea       not null primary key check (length(digest) = 32),
    user_id    uuid        not null references users.users (id),
    provider   text        not null,
    invited_by text        not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at    timestamptz
);
create index invitations_user on users.invitations (user_id) where used_at is null;
select integration.protect('users.invitations');

-- A challenge is sealed into what the caller brings back, so that asking for one stores nothing. That it is good once is kept
-- here, in the transaction of what it was used for.
create table users.used_challenges (
    tenant_id  text        not null,
    digest     bytea       not null check (length(digest) = 32),
    expires_at timestamptz not null,
    used_at    timestamptz not null default now(),
    primary key (tenant_id, digest)
);
create index used_challenges_expires on users.used_challenges (expires_at);
select integration.protect('users.used_challenges');

grant select, insert, update on users.passkeys, users.subjects, users.invitations, users.used_challenges to hub_app;
-- out of date they could not be used anyway
grant delete on users.used_challenges to hub_app;

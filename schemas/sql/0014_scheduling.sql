-- Appointments: schedules, the slots made of them, appointments, waiting list, queues. Owned by workers/scheduling alone.
-- Nothing is deleted: a slot that a template gives up is withdrawn, an appointment ends in a state, every step stays.

create extension if not exists btree_gist with schema public;

-- Whose time it is (a practitioner's, a room's, a service's), how it is cut, and how much of it is given away.
create table clinical.schedules (
    tenant_id         text        not null,
    id                uuid        not null primary key,
    name              text        not null,
    -- as encounters and grants name places (HL7 PL.4, PL.1)
    facility          text,
    department        text,
    -- the hospital's own codes
    practitioner      text,
    practitioner_name text,
    room              text,
    service           text,
    -- IANA name: working hours are wall-clock times there
    zone              text        not null,
    slot_minutes      smallint    not null check (slot_minutes between 1 and 1440),
    capacity          smallint    not null check (capacity between 1 and 500),
    overbook          smallint    not null check (overbook between 0 and 500),
    -- walk-in tokens a day
    walk_ins          smallint    not null check (walk_ins between 0 and 1000),
    horizon_days      smallint    not null check (horizon_days between 1 and 366),
    hold_seconds      integer     not null check (hold_seconds between 1 and 86400),
    offer_seconds     integer     not null check (offer_seconds between 1 and 604800),
    -- minutes before the beginning at which a reminder is due
    reminder_minutes  integer[]   not null,
    state             text        not null default 'active' check (state in ('active', 'retired')),
    -- rises when the weekly hours are replaced: those of other numbers are history
    template          integer     not null default 1,
    -- slots stand up to and including this day
    generated_until   date,
    version           integer     not null default 1,
    created_by        text        not null,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    check (department is null or facility is not null),
    check (practitioner is not null or room is not null or service is not null)
);
create index schedules_list on clinical.schedules (tenant_id, id);
select integration.protect('clinical.schedules');

-- Weekly hours; weekday 1 is Monday (ISO 8601).
create table clinical.schedule_hours (
    tenant_id   text     not null,
    schedule_id uuid     not null references clinical.schedules (id),
    template    integer  not null,
    weekday     smallint not null check (weekday between 1 and 7),
    from_time   time     not null,
    to_time     time     not null,
    check (to_time > from_time),
    primary key (schedule_id, template, weekday, from_time)
);
select integration.protect('clinical.schedule_hours');

-- Leave takes hours away, extra gives some, on the days from first_day to last_day. Without times: the whole day.
create table clinical.schedule_exceptions (
    tenant_id   text        not null,
    id          uuid        not null primary key,
    schedule_id uuid        not null references clinical.schedules (id),
    kind        text        not null check (kind in ('leave', 'extra')),
    first_day   date        not null,
    last_day    date        not null,
    from_time   time,
    to_time     time,
    reason      text        not null,
    created_by  text        not null,
    created_at  timestamptz not null default now(),
    ended_at    timestamptz,
    ended_by    text,
    check (last_day >= first_day),
    check ((from_time is null) = (to_time is null)),
    check (to_time > from_time),
    check (kind = 'leave' or from_time is not null)
);
create index schedule_exceptions_of on clinical.schedule_exceptions (schedule_id, first_day);
select integration.protect('clinical.schedule_exceptions');

create table clinical.slots (
    tenant_id   text        not null,
    id          uuid        not null primary key,
    schedule_id uuid        not null references clinical.schedules (id),
    -- in the schedule's zone
    day         date        not null,
    starts_at   timestamptz not null,
    ends_at     timestamptz not null,
    capacity    smallint    not null,
    overbook    smallint    not null,
    -- places given away: held, booked, and all that follows from it
    taken       smallint    not null default 0,
    overbooked  smallint    not null default 0,
    -- closed: the schedule has it no longer (leave, new hours), but somebody is booked there; withdrawn: nobody is
    state       text        not null default 'open' check (state in ('open', 'closed', 'withdrawn')),
    created_at  timestamptz not null default now(),
    check (ends_at > starts_at),
    constraint slots_capacity check (taken between 0 and capacity),
    constraint slots_overbook check (overbooked between 0 and overbook),
    constraint slots_apart exclude using gist (schedule_id with =, tstzrange(starts_at, ends_at) with &&)
        where (state <> 'withdrawn')
);
create unique index slots_once on clinical.slots (schedule_id, starts_at, ends_at);
create index slots_time on clinical.slots (tenant_id, starts_at, id);
select integration.protect('clinical.slots');

create table clinical.appointments (
    tenant_id    text        not null,
    id           uuid        not null primary key,
    schedule_id  uuid        not null references clinical.schedules (id),
    -- none: a walk-in
    slot_id      uuid        references clinical.slots (id),
    -- key of the identifier as it was given, as in every clinical row: a merge never re-points it
    subject_key  uuid        not null,
    kind         text        not null check (kind in ('slot', 'overbook', 'walk_in')),
    state        text        not null check (state in ('held', 'booked', 'confirmed', 'arrived', 'in_consult', 'done', 'cancelled', 'no_show', 'expired')),
    mode         text        not null check (mode in ('in_person', 'video', 'phone')),
    day          date        not null,
    starts_at    timestamptz not null,
    ends_at      timestamptz not null,
    held_until   timestamptz,
    -- since when it has this slot: a reminder that was due before it is none
    placed_at    timestamptz not null default now(),
    reason       text,
    note         text,
    end_reason   text,
    -- why somebody must look at it: leave, or hours that are no longer the schedule's
    attention    text        check (attention in ('leave', 'hours')),
    exception_id uuid        references clinical.schedule_exceptions (id),
    version      integer     not null default 1,
    created_by   text        not null,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    check ((slot_id is null) = (kind = 'walk_in')),
    check ((state = 'held') = (held_until is not null))
);
-- the same patient in the same slot once; who cancelled, or did not come, may come again
create unique index appointments_once on clinical.appointments (slot_id, subject_key)
    where state in ('held', 'booked', 'confirmed', 'arrived', 'in_consult', 'done');
create index appointments_slot on clinical.appointments (slot_id) where slot_id is not null;
create index appointments_day on clinical.appointments (schedule_id, day, starts_at);
create index appointments_subject on clinical.appointments (subject_key, starts_at);
create index appointments_time on clinical.appointments (tenant_id, starts_at, id);
create index appointments_held on clinical.appointments (schedule_id, held_until) where state = 'held';
create index appointments_ahead on clinical.appointments (schedule_id, starts_at) where state in ('booked', 'confirmed');
select integration.protect('clinical.appointments');

create table clinical.appointment_steps (
    id             bigint      generated always as identity primary key,
    tenant_id      text        not null,
    appointment_id uuid        not null references clinical.appointments (id),
    action         text        not null,
    from_state     text,
    to_state       text        not null,
    from_slot      uuid,
    to_slot        uuid,
    actor          text        not null,
    reason         text,
    source_event   uuid        not null,
    at             timestamptz not null default now()
);
create index appointment_steps_of on clinical.appointment_steps (appointment_id, id);
select integration.protect('clinical.appointment_steps');

-- What was said to be due: its key is what keeps it to once.
create table clinical.appointment_reminders (
    tenant_id      text        not null,
    appointment_id uuid        not null references clinical.appointments (id),
    minutes_before integer     not null,
    starts_at      timestamptz not null,
    said_at        timestamptz not null default now(),
    primary key (appointment_id, minutes_before, starts_at)
);
select integration.protect('clinical.appointment_reminders');

create table clinical.waitlist (
    tenant_id   text        not null,
    id          uuid        not null primary key,
    schedule_id uuid        not null references clinical.schedules (id),
    subject_key uuid        not null,
    -- rank: the higher priority, then who came first
    priority    smallint    not null default 0 check (priority between 0 and 9),
    number      bigint      generated always as identity,
    from_at     timestamptz not null,
    to_at       timestamptz not null,
    mode        text        not null check (mode in ('in_person', 'video', 'phone')),
    note        text,
    state       text        not null default 'waiting' check (state in ('waiting', 'offered', 'booked', 'withdrawn', 'lapsed')),
    version     integer     not null default 1,
    created_by  text        not null,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    check (to_at > from_at)
);
create unique index waitlist_once on clinical.waitlist (schedule_id, subject_key) where state in ('waiting', 'offered');
create index waitlist_rank on clinical.waitlist (schedule_id, priority desc, number) where state = 'waiting';
create index waitlist_list on clinical.waitlist (tenant_id, number);
create index waitlist_subject on clinical.waitlist (subject_key);
select integration.protect('clinical.waitlist');

-- An offer is an appointment that is held for somebody of the list: the place is his, and nobody else's, until it expires.
create table clinical.waitlist_offers (
    tenant_id      text        not null,
    appointment_id uuid        not null primary key references clinical.appointments (id),
    entry_id       uuid        not null references clinical.waitlist (id),
    slot_id        uuid        not null references clinical.slots (id),
    offered_at     timestamptz not null default now(),
    expires_at     timestamptz not null,
    outcome        text        check (outcome in ('accepted', 'declined', 'expired')),
    decided_at     timestamptz
);
create unique index waitlist_offers_open on clinical.waitlist_offers (entry_id) where outcome is null;
-- who let a slot go is not asked about it again
create unique index waitlist_offers_once on clinical.waitlist_offers (entry_id, slot_id);
select integration.protect('clinical.waitlist_offers');

-- One a schedule and day.
create table clinical.queues (
    tenant_id     text        not null,
    id            uuid        not null primary key,
    schedule_id   uuid        not null references clinical.schedules (id),
    day           date        not null,
    last_number   integer     not null default 0,
    walk_ins      integer     not null default 0,
    delay_minutes integer     not null default 0 check (delay_minutes between 0 and 1440),
    updated_at    timestamptz not null default now()
);
create unique index queues_once on clinical.queues (schedule_id, day);
create index queues_day on clinical.queues (tenant_id, day, id);
select integration.protect('clinical.queues');

create table clinical.tokens (
    tenant_id      text        not null,
    queue_id       uuid        not null references clinical.queues (id),
    number         integer     not null,
    appointment_id uuid        not null references clinical.appointments (id),
    state          text        not null default 'waiting' check (state in ('waiting', 'called', 'in_consult', 'done', 'gone')),
    calls          smallint    not null default 0,
    room           text,
    given_at       timestamptz not null default now(),
    called_at      timestamptz,
    called_by      text,
    ended_at       timestamptz,
    primary key (queue_id, number)
);
create unique index tokens_live on clinical.tokens (appointment_id) where state in ('waiting', 'called', 'in_consult');
select integration.protect('clinical.tokens');

-- The slots that a schedule wants on these days: its weekly hours and extra hours, without leave. Hours are made moments
-- first and cut then, so that a day on which the clocks change has neither a gap nor a slot twice.
create function clinical.wanted_slots(of_schedule uuid, first_day date, last_day date)
returns table (day date, starts_at timestamptz, ends_at timestamptz) language sql stable as $$
    with s as (
        select id, zone, template, make_interval(mins => slot_minutes) as length
        from clinical.schedules where id = of_schedule and state = 'active'
    ), hours as (
        select d::date as day, h.from_time, h.to_time, 0::bigint as rank
        from s, generate_series(first_day::timestamp, last_day::timestamp, interval '1 day') d
        join clinical.schedule_hours h on h.schedule_id = of_schedule and h.weekday = extract(isodow from d)
        where h.template = s.template
        union all
        select d::date, e.from_time, e.to_time, e.rank
        from (select x.*, row_number() over (order by x.created_at, x.id) as rank from clinical.schedule_exceptions x
              where x.schedule_id = of_schedule and x.kind = 'extra' and x.ended_at is null) e,
             generate_series(greatest(first_day, e.first_day)::timestamp, least(last_day, e.last_day)::timestamp, interval '1 day') d
    ), cut as (
        select h.day, h.rank, g as starts_at, g + s.length as ends_at
        from s, hours h,
             generate_series((h.day + h.from_time) at time zone s.zone,
                             ((h.day + h.to_time) at time zone s.zone) - s.length, s.length) g
    )
    select c.day, c.starts_at, c.ends_at
    from s, cut c
    -- where hours lie over each other the weekly ones count, then the extra ones that were there first
    where not exists (
        select from cut o
        where o.day = c.day and o.rank < c.rank and o.starts_at < c.ends_at and o.ends_at > c.starts_at)
      and not exists (
        select from clinical.schedule_exceptions e
        where e.schedule_id = of_schedule and e.kind = 'leave' and e.ended_at is null
          and c.day between e.first_day and e.last_day
          and (e.from_time is null
               or (c.starts_at < (c.day + e.to_time) at time zone s.zone and c.ends_at > (c.day + e.from_time) at time zone s.zone)))
$$;

grant select, insert, update on clinical.schedules, clinical.schedule_hours, clinical.schedule_exceptions, clinical.slots,
    clinical.appointments, clinical.appointment_steps, clinical.appointment_reminders, clinical.waitlist,
    clinical.waitlist_offers, clinical.queues, clinical.tokens to hub_app;
grant usage on all sequences in schema clinical to hub_app;
grant execute on function clinical.wanted_slots(uuid, date, date) to hub_app;

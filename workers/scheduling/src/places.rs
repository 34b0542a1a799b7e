//! Places in slots: taken and given back by guarded updates, below a check constraint. Nothing here asks first and writes
//! then. Who wants a place locks the slot first, so that what is over in it (a hold, an offer) is over for him too.

use sqlx::Row as _;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::advance;
use crate::states::HOLDING;
use crate::turn::{Stop, Turn, refuse};
use crate::waitlist;

/// A slot and what of its schedule matters to who books it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Slot {
    pub(crate) id: Uuid,
    pub(crate) schedule_id: Uuid,
    pub(crate) day: Date,
    pub(crate) starts_at: OffsetDateTime,
    pub(crate) ends_at: OffsetDateTime,
    pub(crate) state: String,
    pub(crate) hold_seconds: i32,
    pub(crate) offer_seconds: i32,
}

/// Locks slots in the order of their ids.
pub(crate) async fn lock(
    turn: &mut Turn<'_, '_>,
    slots: impl IntoIterator<Item = Uuid>,
) -> Result<(), Stop> {
    let slots: Vec<Uuid> = slots.into_iter().collect();
    if !slots.is_empty() {
        sqlx::query("select from clinical.slots where id = any($1) order by id for update")
            .bind(&slots)
            .execute(turn.conn())
            .await?;
    }
    Ok(())
}

/// The slot, which is locked by the caller, after what is over in it has ended.
pub(crate) async fn open(turn: &mut Turn<'_, '_>, slot: Uuid) -> Result<Slot, Stop> {
    let found: Option<Slot> = sqlx::query_as(
        "select o.id, o.schedule_id, o.day, o.starts_at, o.ends_at, o.state, s.hold_seconds, s.offer_seconds
         from clinical.slots o join clinical.schedules s on s.id = o.schedule_id where o.id = $1",
    )
    .bind(slot)
    .fetch_optional(turn.conn())
    .await?;
    let Some(found) = found else {
        return refuse("slots.unknown", "no slot has this id");
    };
    advance::expire_in(turn, slot).await?;
    Ok(found)
}

/// Under none of his identifiers has the patient the slot already. The unique index says so too, for the one he is booked by.
pub(crate) async fn not_twice(
    turn: &mut Turn<'_, '_>,
    slot: Uuid,
    person: &[Uuid],
) -> Result<(), Stop> {
    let holding: Vec<&str> = HOLDING.iter().map(|state| state.as_str()).collect();
    let has: bool = sqlx::query_scalar(
        "select exists (select from clinical.appointments where slot_id = $1 and subject_key = any($2) and state = any($3))",
    )
    .bind(slot)
    .bind(person)
    .bind(&holding)
    .fetch_one(turn.conn())
    .await?;
    if has {
        return refuse(
            "appointments.same_slot_exists",
            "the patient has this slot already",
        );
    }
    Ok(())
}

/// Takes a place: `slot` or `overbook`, as it is counted.
pub(crate) async fn take(
    turn: &mut Turn<'_, '_>,
    slot: &Slot,
    overbook: bool,
) -> Result<&'static str, Stop> {
    if take_free(turn, slot.id).await? {
        return Ok("slot");
    }
    let now = turn.now;
    if overbook {
        let done = sqlx::query(
            "update clinical.slots set overbooked = overbooked + 1
             where id = $1 and state = 'open' and ends_at > $2 and overbooked < overbook",
        )
        .bind(slot.id)
        .bind(now)
        .execute(turn.conn())
        .await?;
        if done.rows_affected() == 1 {
            return Ok("overbook");
        }
    }
    if slot.state != "open" {
        refuse(
            "slots.closed",
            "the schedule does not have this slot any more",
        )
    } else if slot.ends_at <= now {
        refuse("slots.past_conflict", "the slot is over")
    } else {
        refuse("slots.full_conflict", "the slot has no free place")
    }
}

/// True: one place within the capacity is ours.
pub(crate) async fn take_free(turn: &mut Turn<'_, '_>, slot: Uuid) -> Result<bool, Stop> {
    let now = turn.now;
    let done = sqlx::query(
        "update clinical.slots set taken = taken + 1
         where id = $1 and state = 'open' and ends_at > $2 and taken < capacity",
    )
    .bind(slot)
    .bind(now)
    .execute(turn.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a place back. Somebody who was overbooked has it first, then the waiting list, then whoever asks.
pub(crate) async fn release(turn: &mut Turn<'_, '_>, slot: Uuid, kind: &str) -> Result<(), Stop> {
    if kind == "overbook" {
        sqlx::query("update clinical.slots set overbooked = overbooked - 1 where id = $1")
            .bind(slot)
            .execute(turn.conn())
            .await?;
        return Ok(());
    }
    let row = sqlx::query(
        "update clinical.slots set taken = taken - case when overbooked > 0 then 0 else 1 end,
             overbooked = greatest(overbooked - 1, 0)
         where id = $1 returning schedule_id, taken",
    )
    .bind(slot)
    .fetch_one(turn.conn())
    .await?;
    let moved = sqlx::query(
        "update clinical.appointments set kind = 'slot', version = version + 1, updated_at = now()
         where id = (select id from clinical.appointments where slot_id = $1 and kind = 'overbook'
                     and state in ('held', 'booked', 'confirmed', 'arrived', 'in_consult', 'done')
                     order by created_at, id limit 1)",
    )
    .bind(slot)
    .execute(turn.conn())
    .await?;
    if moved.rows_affected() == 0 {
        waitlist::offer_free(turn, row.try_get(0)?, Some(slot)).await?;
    }
    Ok(())
}

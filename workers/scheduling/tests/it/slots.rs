//! Slots follow their schedule, and nobody's booking goes.

use schemas::scheduling::{AddException, DefineSchedule, EndException, ExceptionKind};
use sqlx::Row as _;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::house::{House, answer, booking, clinic, hours, patient, refusal, said};

/// AP4
#[tokio::test]
async fn from_eight_to_twenty_by_ten_minutes_are_seventy_two_slots_a_day() {
    let house = House::new().await;
    let schedule = house.schedule(|_| {}).await;
    let mut tx = house.database.tx(&house.tenant).await;
    let rows = sqlx::query(
        "select day, count(*) as slots, min(starts_at at time zone 'Asia/Kolkata')::time::text as first,
                max(ends_at at time zone 'Asia/Kolkata')::time::text as last
         from clinical.slots where schedule_id = $1 and day > (now() at time zone 'Asia/Kolkata')::date group by day order by day",
    )
    .bind(schedule)
    .fetch_all(tx.conn())
    .await
    .unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!(row.get::<i64, _>("slots"), 72);
        assert_eq!(row.get::<String, _>("first"), "08:00:00");
        assert_eq!(row.get::<String, _>("last"), "20:00:00");
    }
}

#[tokio::test]
async fn where_the_clocks_change_there_is_neither_a_gap_nor_a_slot_twice() {
    let house = House::new().await;
    let schedule = house
        .schedule(|clinic| {
            clinic.zone = "Europe/Berlin".to_owned();
            clinic.slot_minutes = 30;
            clinic.hours = hours("00:00", "24:00");
        })
        .await;
    for (day, expected) in [
        ("2027-03-27", 48),
        ("2027-03-28", 46),
        ("2027-10-31", 50),
        ("2027-11-01", 48),
    ] {
        let mut tx = house.database.tx(&house.tenant).await;
        let row = sqlx::query(
            "select count(*) as slots, count(*) filter (where follows <> starts_at) as torn
             from (select starts_at, lag(ends_at) over (order by starts_at) as follows
                   from clinical.wanted_slots($1, $2::date, $2::date)) s",
        )
        .bind(schedule)
        .bind(
            Date::parse(
                day,
                time::macros::format_description!("[year]-[month]-[day]"),
            )
            .unwrap(),
        )
        .fetch_one(tx.conn())
        .await
        .unwrap();
        assert_eq!(
            (row.get::<i64, _>("slots"), row.get::<i64, _>("torn")),
            (expected, 0),
            "{day}"
        );
    }
}

struct Clinic {
    house: House,
    command: DefineSchedule,
    /// The day after tomorrow: 08:00, 10:00.
    early: Uuid,
    ten: Uuid,
}

impl Clinic {
    async fn new() -> Self {
        let house = House::new().await;
        let command = clinic();
        answer(house.apply(&command).await);
        let at = |time: &'static str| {
            let house = house.clone();
            async move {
                let mut tx = house.database.tx(&house.tenant).await;
                sqlx::query_scalar::<_, Uuid>(
                    "select id from clinical.slots where schedule_id = $1 and (starts_at at time zone 'Asia/Kolkata')
                         = (now() at time zone 'Asia/Kolkata')::date + 2 + $2::text::time",
                )
                .bind(command_id(&house).await)
                .bind(time)
                .fetch_one(tx.conn())
                .await
                .unwrap()
            }
        };
        let (early, ten) = (at("08:00").await, at("10:00").await);
        Self {
            house,
            command,
            early,
            ten,
        }
    }

    /// The same clinic as it is from now on.
    async fn change(&mut self, change: impl FnOnce(&mut DefineSchedule)) -> serde_json::Value {
        self.command.new = false;
        change(&mut self.command);
        answer(self.house.apply(&self.command).await)
    }

    async fn slot(&self, id: Uuid) -> String {
        self.house
            .column("select state from clinical.slots where id = $1", id)
            .await
            .remove(0)
    }

    async fn attention(&self, appointment: Uuid) -> Option<String> {
        self.house
            .column(
                "select attention from clinical.appointments where id = $1",
                appointment,
            )
            .await
            .remove(0)
    }
}

async fn command_id(house: &House) -> Uuid {
    let mut tx = house.database.tx(&house.tenant).await;
    sqlx::query_scalar("select id from clinical.schedules")
        .fetch_one(tx.conn())
        .await
        .unwrap()
}

#[tokio::test]
async fn new_hours_keep_booked_slots_and_say_whom_they_leave_without_a_time() {
    let mut clinic = Clinic::new().await;
    let early = clinic.house.book(clinic.early, patient()).await;
    let ten = clinic.house.book(clinic.ten, patient()).await;
    let changed = clinic
        .change(|one| one.hours = hours("09:00", "12:00"))
        .await;
    assert_eq!(changed["affected"], serde_json::json!([early]));
    assert_eq!(changed["version"], 2);
    assert_eq!(clinic.house.state(early).await, "booked");
    assert_eq!(clinic.slot(clinic.early).await, "closed");
    assert_eq!(clinic.slot(clinic.ten).await, "open");
    assert_eq!(clinic.attention(early).await.as_deref(), Some("hours"));
    assert_eq!(clinic.attention(ten).await, None);
    assert_eq!(
        refusal(&clinic.house.apply(&booking(clinic.early, patient())).await),
        "slots.closed"
    );

    let back = clinic
        .change(|one| one.hours = hours("08:00", "20:00"))
        .await;
    assert_eq!(back["affected"], serde_json::json!([]));
    assert_eq!(clinic.slot(clinic.early).await, "open", "the same one");
    assert_eq!(clinic.attention(early).await, None);
    let live: i64 = clinic
        .house
        .column(
            "select count(*) from clinical.slots where schedule_id = $1 and state <> 'withdrawn'
             and day = (now() at time zone 'Asia/Kolkata')::date + 2",
            clinic.command.schedule_id,
        )
        .await
        .remove(0);
    assert_eq!(live, 72);
    clinic.house.every_place_is_counted().await;
}

#[tokio::test]
async fn another_cut_of_the_same_hours_leaves_nobody_without_a_time_and_no_slots_over_each_other() {
    let mut clinic = Clinic::new().await;
    let ten = clinic.house.book(clinic.ten, patient()).await;
    let changed = clinic.change(|one| one.slot_minutes = 15).await;
    assert_eq!(changed["affected"], serde_json::json!([]));
    assert_eq!(clinic.house.state(ten).await, "booked");
    assert_eq!(clinic.slot(clinic.ten).await, "closed");
    let over: i64 = clinic
        .house
        .column(
            "select count(*) from clinical.slots a join clinical.slots b on a.schedule_id = b.schedule_id and a.id < b.id
                 and a.starts_at < b.ends_at and b.starts_at < a.ends_at
             where a.schedule_id = $1 and a.state <> 'withdrawn' and b.state <> 'withdrawn'",
            clinic.command.schedule_id,
        )
        .await
        .remove(0);
    assert_eq!(over, 0);
    let fewer = clinic.change(|one| one.capacity = 5).await;
    assert_eq!(fewer["affected"], serde_json::json!([]));
}

fn exception(clinic: &Clinic, kind: ExceptionKind, day: Date) -> AddException {
    AddException {
        exception_id: Uuid::now_v7(),
        schedule_id: clinic.command.schedule_id,
        kind,
        first_day: day.to_string(),
        last_day: day.to_string(),
        from: None,
        to: None,
        reason: "conference".to_owned(),
        actor: "desk".to_owned(),
    }
}

#[tokio::test]
async fn leave_lists_who_is_booked_and_takes_what_is_free_and_gives_it_back() {
    let clinic = Clinic::new().await;
    let early = clinic.house.book(clinic.early, patient()).await;
    let ten = clinic.house.book(clinic.ten, patient()).await;
    let day: Date = clinic
        .house
        .column("select day from clinical.slots where id = $1", clinic.ten)
        .await
        .remove(0);
    let morning = AddException {
        from: Some("08:00".to_owned()),
        to: Some("09:00".to_owned()),
        ..exception(&clinic, ExceptionKind::Leave, day)
    };
    let told = clinic.house.apply(&morning).await;
    assert!(said(&told).contains(&"scheduling.appointment.affected"));
    let told = answer(told);
    assert_eq!(told["affected"], serde_json::json!([early]));
    assert_eq!(told["slots"]["withdrawn"], 5);
    let whole = exception(&clinic, ExceptionKind::Leave, day);
    let told = answer(clinic.house.apply(&whole).await);
    assert_eq!(
        told["affected"],
        serde_json::json!([ten]),
        "the other is known"
    );
    assert_eq!(clinic.house.state(early).await, "booked");
    for id in [whole.exception_id, morning.exception_id] {
        let end = EndException {
            exception_id: id,
            actor: "desk".to_owned(),
        };
        answer(clinic.house.apply(&end).await);
        assert!(matches!(
            clinic.house.apply(&end).await,
            hub_core::Verdict::Unchanged
        ));
    }
    assert_eq!(clinic.attention(early).await, None);
    assert_eq!(clinic.attention(ten).await, None);
    assert_eq!(clinic.slot(clinic.early).await, "open");
    clinic.house.every_place_is_counted().await;
}

#[tokio::test]
async fn extra_hours_add_slots_beside_the_weekly_ones_and_never_over_them() {
    let clinic = Clinic::new().await;
    let day: Date = clinic
        .house
        .column("select day from clinical.slots where id = $1", clinic.ten)
        .await
        .remove(0);
    let evening = AddException {
        from: Some("19:35".to_owned()),
        to: Some("21:05".to_owned()),
        ..exception(&clinic, ExceptionKind::Extra, day)
    };
    let told = answer(clinic.house.apply(&evening).await);
    // 20:05 to 21:05; what would lie over 19:35 to 20:00, and 19:55 to 20:05, is not made
    assert_eq!(told["slots"]["added"], 6);
    let without = exception(&clinic, ExceptionKind::Extra, day);
    assert_eq!(
        refusal(&clinic.house.apply(&without).await),
        "exceptions.hours"
    );
}

#[tokio::test]
async fn a_retired_schedule_keeps_its_bookings_and_gives_no_more() {
    let mut clinic = Clinic::new().await;
    let ten = clinic.house.book(clinic.ten, patient()).await;
    let told = clinic.change(|one| one.retired = true).await;
    assert_eq!(told["affected"], serde_json::json!([ten]));
    assert_eq!(clinic.house.state(ten).await, "booked");
    assert_eq!(
        clinic.house.slots(clinic.command.schedule_id).await,
        [clinic.ten]
    );
}

#[tokio::test]
async fn the_calendar_brings_the_slots_of_further_days_once() {
    let house = House::new().await;
    let schedule = house.schedule(|_| {}).await;
    let now = OffsetDateTime::now_utc();
    let tomorrow = now + time::Duration::days(1);
    let told = answer(house.tend(schedule, tomorrow).await);
    assert_eq!(told["schedule_id"], schedule.to_string());
    let last: i64 = house
        .column(
            "select count(*) from clinical.slots where schedule_id = $1 and day = (now() at time zone 'Asia/Kolkata')::date + 4",
            schedule,
        )
        .await
        .remove(0);
    assert_eq!(last, 72);
    assert!(matches!(
        house.tend(schedule, tomorrow).await,
        hub_core::Verdict::Unchanged
    ));
}

#[tokio::test]
async fn hours_that_are_none_and_zones_that_are_none_are_refused() {
    let house = House::new().await;
    for (change, code) in [
        (
            DefineSchedule {
                zone: "IST".to_owned(),
                ..clinic()
            },
            "schedules.zone",
        ),
        (
            DefineSchedule {
                zone: "Asia/Atlantis".to_owned(),
                ..clinic()
            },
            "scheduling.value",
        ),
        (
            DefineSchedule {
                hours: hours("09:00", "08:00"),
                ..clinic()
            },
            "schedules.hours",
        ),
        (
            DefineSchedule {
                hours: [hours("08:00", "12:00"), hours("11:00", "13:00")].concat(),
                ..clinic()
            },
            "schedules.hours",
        ),
        (
            DefineSchedule {
                capacity: 0,
                ..clinic()
            },
            "scheduling.value",
        ),
        (
            DefineSchedule {
                new: false,
                ..clinic()
            },
            "schedules.unknown",
        ),
        (
            DefineSchedule {
                slot_minutes: 1,
                horizon_days: 100,
                ..clinic()
            },
            "schedules.too_many_slots",
        ),
    ] {
        assert_eq!(refusal(&house.apply(&change).await), code);
    }
    let schedules: i64 = house
        .column(
            "select count(*) from clinical.schedules where id <> $1",
            Uuid::nil(),
        )
        .await
        .remove(0);
    assert_eq!(schedules, 0, "what is refused leaves no trace");
}

//! How many days a stay counts (specs/hms-modules.md §1.9): statistics by the midnight census, bills by the policy of the hospital.
//! Pure; the caller brings every moment in both clocks, because days begin in the facility's zone and hours pass in none.

use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime, Time};

/// How days are counted. In each the minimum is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Midnight census: date of discharge minus date of admission.
    Census,
    /// Rolling 24 hours: a rest of at least `grace` is another day.
    Rolling { grace: Duration },
    /// Calendar days, that of the discharge free.
    Calendar,
    /// A day ends at a fixed hour: one for each such hour that is passed, and the one begun. Leaving within `grace` after the hour
    /// begins none.
    Checkout { hour: Time, grace: Duration },
}

/// One moment: the instant, and what the clock on the facility's wall shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub at: OffsetDateTime,
    pub local: PrimitiveDateTime,
}

/// A patient in one bed; half-open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InBed<B> {
    pub bed: B,
    pub from: Moment,
    pub to: Moment,
}

/// One day that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day<B> {
    /// The local date on which it begins.
    pub date: Date,
    /// The bed of the day: that at its end, or the last one. On a day of transfer there is therefore one charge.
    pub bed: B,
}

/// The number of days from `from` to `to`.
#[must_use]
pub fn count(policy: Policy, from: Moment, to: Moment) -> u32 {
    let days = match policy {
        Policy::Census | Policy::Calendar => (to.local.date() - from.local.date()).whole_days(),
        Policy::Rolling { grace } => {
            let stayed = to.at - from.at;
            let whole = stayed.whole_days();
            let rest = stayed - Duration::days(whole);
            // a grace of nothing is none: a stay of exactly two days is two
            let begun = rest.is_positive() && rest >= grace;
            whole + i64::from(begun)
        }
        Policy::Checkout { hour, grace } => {
            let mut passed = (to.local.date() - from.local.date()).whole_days();
            if from.local.time() >= hour {
                passed -= 1;
            }
            // the hour of the last day counts once it is over by more than the grace
            let boundary = PrimitiveDateTime::new(to.local.date(), hour);
            if to.local > boundary && to.local - boundary >= grace {
                passed += 1;
            }
            passed + 1
        }
    };
    u32::try_from(days.max(1)).unwrap_or(u32::MAX)
}

/// Each day that counts with the bed that it is counted for; `beds` in order. Empty for a stay without a bed.
#[must_use]
pub fn days<B: Clone>(policy: Policy, beds: &[InBed<B>]) -> Vec<Day<B>> {
    last_days(policy, beds, u32::MAX)
}

/// The last of them, so many at most: a system that reports an admission of the year 1800 asks for no list of it.
#[must_use]
pub fn last_days<B: Clone>(policy: Policy, beds: &[InBed<B>], most: u32) -> Vec<Day<B>> {
    let (Some(first), Some(last)) = (beds.first(), beds.last()) else {
        return Vec::new();
    };
    let days = count(policy, first.from, last.to);
    (days.saturating_sub(most)..days)
        .map(|n| {
            let (date, end) = day(policy, first.from, i64::from(n));
            // the last bed that was taken before the day's end is the one at its end
            let bed = beds
                .iter()
                .rev()
                .find(|bed| end.is_after(bed.from))
                .unwrap_or(first);
            Day {
                date,
                bed: bed.bed.clone(),
            }
        })
        .collect()
}

/// The end of a day, on the clock by which it goes.
#[derive(Debug, Clone, Copy)]
enum End {
    Wall(PrimitiveDateTime),
    Instant(OffsetDateTime),
}

impl End {
    fn is_after(self, moment: Moment) -> bool {
        match self {
            Self::Wall(end) => moment.local < end,
            Self::Instant(end) => moment.at < end,
        }
    }
}

/// The n-th day of a stay: the local date on which it begins, and its end.
fn day(policy: Policy, from: Moment, n: i64) -> (Date, End) {
    let later = Duration::days(n);
    let date = from.local.date() + later;
    match policy {
        Policy::Census | Policy::Calendar => {
            let midnight = PrimitiveDateTime::new(date + Duration::DAY, Time::MIDNIGHT);
            (date, End::Wall(midnight))
        }
        Policy::Rolling { .. } => (date, End::Instant(from.at + later + Duration::DAY)),
        Policy::Checkout { hour, .. } => {
            let begun = if from.local.time() < hour {
                date - Duration::DAY
            } else {
                date
            };
            let end = PrimitiveDateTime::new(begun + Duration::DAY, hour);
            (begun.max(from.local.date()), End::Wall(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::{datetime, offset, time};

    /// A moment of India's clock.
    fn ist(local: PrimitiveDateTime) -> Moment {
        Moment {
            at: local.assume_offset(offset!(+5:30)),
            local,
        }
    }

    const IN: PrimitiveDateTime = datetime!(2026-07-01 10:00);
    const OUT: PrimitiveDateTime = datetime!(2026-07-03 13:30);

    fn rolling(hours: i64) -> Policy {
        Policy::Rolling {
            grace: Duration::hours(hours),
        }
    }

    fn noon(grace: i64) -> Policy {
        Policy::Checkout {
            hour: time!(12:00),
            grace: Duration::hours(grace),
        }
    }

    /// IP1 of specs/hms-modules.md §1.9: 51.5 hours.
    #[test]
    fn ip1_the_figures_of_the_specification() {
        for (policy, days) in [
            (rolling(2), 3),
            (rolling(4), 2),
            (Policy::Calendar, 2),
            (Policy::Census, 2),
        ] {
            assert_eq!(count(policy, ist(IN), ist(OUT)), days, "{policy:?}");
        }
    }

    /// IP2: in and out on the same day is one, however it is counted.
    #[test]
    fn ip2_a_stay_within_a_day_is_one() {
        let out = datetime!(2026-07-01 11:30);
        for policy in [
            rolling(2),
            rolling(0),
            Policy::Calendar,
            Policy::Census,
            noon(0),
        ] {
            assert_eq!(count(policy, ist(IN), ist(out)), 1, "{policy:?}");
        }
    }

    /// As a system may report it.
    #[test]
    fn of_a_stay_of_two_hundred_years_the_last_days_are_listed() {
        let beds = [InBed {
            bed: "general",
            from: ist(datetime!(1826-07-01 10:00)),
            to: ist(OUT),
        }];
        let all = count(Policy::Census, beds[0].from, beds[0].to);
        assert!(all > 70_000, "{all}");
        let last = last_days(Policy::Census, &beds, 3);
        let dates: Vec<String> = last.iter().map(|day| day.date.to_string()).collect();
        assert_eq!(dates, ["2026-06-30", "2026-07-01", "2026-07-02"]);
        let short = [InBed {
            from: ist(IN),
            ..beds[0].clone()
        }];
        assert_eq!(
            last_days(Policy::Census, &short, 3),
            days(Policy::Census, &short)
        );
    }

    #[test]
    fn rolling_days_count_a_rest_from_the_grace_on() {
        #[rustfmt::skip]
        let table = [
            (datetime!(2026-07-02 10:00), 2, 1),
            (datetime!(2026-07-02 11:59), 2, 1),
            (datetime!(2026-07-02 12:00), 2, 2),
            (datetime!(2026-07-02 10:01), 0, 2),
            (datetime!(2026-07-03 10:00), 0, 2),
            (datetime!(2026-07-01 10:01), 2, 1),
        ];
        for (out, grace, days) in table {
            assert_eq!(
                count(rolling(grace), ist(IN), ist(out)),
                days,
                "{out} {grace}"
            );
        }
    }

    #[test]
    fn a_fixed_hour_ends_a_day() {
        #[rustfmt::skip]
        let table = [
            // in                        out                        grace days
            (datetime!(2026-07-01 13:00), datetime!(2026-07-02 12:00), 0, 1),
            (datetime!(2026-07-01 13:00), datetime!(2026-07-02 12:01), 0, 2),
            (datetime!(2026-07-01 10:00), datetime!(2026-07-01 11:59), 0, 1),
            (datetime!(2026-07-01 10:00), datetime!(2026-07-01 12:01), 0, 2),
            (datetime!(2026-07-01 10:00), datetime!(2026-07-03 13:30), 0, 4),
            (datetime!(2026-07-01 10:00), datetime!(2026-07-03 13:30), 2, 3),
            (datetime!(2026-07-01 12:00), datetime!(2026-07-02 12:00), 0, 1),
        ];
        for (from, to, grace, days) in table {
            assert_eq!(
                count(noon(grace), ist(from), ist(to)),
                days,
                "{from} {to} {grace}"
            );
        }
    }

    #[test]
    fn a_day_of_transfer_is_one_day_of_the_bed_at_its_end() {
        let moved = ist(datetime!(2026-07-02 09:00));
        let beds = [
            InBed {
                bed: "general",
                from: ist(IN),
                to: moved,
            },
            InBed {
                bed: "icu",
                from: moved,
                to: ist(OUT),
            },
        ];
        let shown = |policy| -> Vec<String> {
            days(policy, &beds)
                .iter()
                .map(|day| format!("{} {}", day.date, day.bed))
                .collect()
        };
        assert_eq!(
            shown(Policy::Census),
            ["2026-07-01 general", "2026-07-02 icu"]
        );
        // 2 July 09:00 is within the first 24 hours
        assert_eq!(
            shown(rolling(2)),
            ["2026-07-01 icu", "2026-07-02 icu", "2026-07-03 icu"]
        );
        assert_eq!(shown(noon(2)).len(), 3);
        for policy in [
            rolling(2),
            rolling(4),
            Policy::Calendar,
            Policy::Census,
            noon(0),
        ] {
            assert_eq!(
                days(policy, &beds).len(),
                count(policy, ist(IN), ist(OUT)) as usize,
                "{policy:?}"
            );
        }
        assert!(days::<&str>(Policy::Census, &[]).is_empty());
    }
}

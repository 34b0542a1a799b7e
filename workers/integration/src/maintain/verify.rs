//! Verifying the audit trail: every digest is computed anew, every signed root compared, and the first row that does not fit
//! is named.
//!
//! What can be told: an entry that was altered, taken away, put between older ones; a chain that was laid anew over altered
//! entries (a signed root says otherwise); one that was cut off (a root reaches further). What can't: an entry that who may
//! write all of the database puts at the end like the program does.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use hub_core::Tx;
use schemas::TenantId;
use serde::Serialize;
use sqlx::PgPool;
use time::{Date, OffsetDateTime};

use super::roots::{Root, day_text, hex, roots};
use super::seal::{CHUNK, Entry, LATE};

/// No transaction of the program is open this long: an entry whose number was given out before that of one sealed so long
/// ago was put in afterwards.
const PUT_IN: time::Duration = time::Duration::hours(1);

/// Knows which keys are ours.
pub trait Signatures {
    /// `None`: no key of ours is called so.
    fn holds(&self, kid: &str, text: &[u8], signature: &[u8]) -> Option<bool>;
}

/// Which part of the trail, and how long it may take.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// From the root of the day before, when there is one that holds; absent: from the first entry.
    pub from: Option<Date>,
    /// To the end of this day; absent: to the end.
    pub to: Option<Date>,
    /// Then what was found so far is told, as not complete.
    pub until: Option<Instant>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Verification {
    /// Where it began: links before it were not looked at.
    pub first_position: i64,
    /// Links that hold, from there on.
    pub intact: i64,
    /// Entries that have no link yet: they are sealed every ten seconds.
    pub unsealed: i64,
    pub roots: RootsFound,
    /// The first row that does not fit.
    pub broken: Option<Broken>,
    /// All of it was looked at.
    pub complete: bool,
}

/// What became of the roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct RootsFound {
    /// Those that are signed by a key of ours and agree with the chain.
    pub hold: u32,
    /// Those that could not be checked: no key of that name opens here.
    pub not_checked: u32,
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// The entry says something else than when it was sealed.
    Altered,
    /// The entry is gone.
    Missing,
    /// The entry was put in afterwards.
    Inserted,
    /// A link of the chain is gone.
    Gap,
    /// The chain was laid anew since the root of that day was signed: entries before this place were altered.
    Relaid,
    /// The root of that day is not what was signed.
    RootAltered,
    /// The root of that day reaches further than the chain: its end was cut off.
    CutOff,
}

impl Wrong {
    /// As JSON has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Inserted => "inserted",
            Self::Gap => "gap",
            Self::Relaid => "relaid",
            Self::RootAltered => "root_altered",
            Self::CutOff => "cut_off",
        }
    }
}

/// The first row that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    pub what: Wrong,
    /// Place in the chain; absent when the entry has none.
    pub position: Option<i64>,
    /// The entry that was altered, is gone, or was put in.
    pub entry_id: Option<i64>,
    /// `2026-01-31`, UTC: of its seal, or of the root.
    pub day: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Link {
    position: i64,
    entry_id: i64,
    digest: Vec<u8>,
    sealed_at: OffsetDateTime,
}

/// Computes every digest anew and names the first row that does not fit. `elsewhere`: roots that were kept at another place.
///
/// # Errors
/// The database is out of reach.
pub async fn verify(
    pool: &PgPool,
    tenant: &TenantId,
    keys: &(dyn Signatures + Sync),
    elsewhere: &[Root],
    span: Span,
) -> Result<Verification, sqlx::Error> {
    let mut all = roots(pool, tenant, None, None).await?;
    all.extend(
        elsewhere
            .iter()
            .filter(|root| root.tenant == tenant.as_str())
            .cloned(),
    );
    let mut found = Verification::default();
    let mut good: Vec<Root> = Vec::new();
    for root in all {
        let signature = super::roots::bytes_of(&root.signature).unwrap_or_default();
        match keys.holds(&root.kid, root.text().as_bytes(), &signature) {
            Some(true) => good.push(root),
            None => found.roots.not_checked += 1,
            Some(false) => {
                found.broken = Some(Broken {
                    what: Wrong::RootAltered,
                    position: Some(root.first_position),
                    entry_id: None,
                    day: Some(root.day),
                });
                return Ok(found);
            }
        }
    }
    good.sort_by_key(|root| root.last_position);
    // what was signed by the day before is where a part begins
    let start = span.from.and_then(|from| {
        let from = day_text(from);
        good.iter().rfind(|root| root.day < from).cloned()
    });
    let mut walk = Walk {
        at: start.as_ref().map_or(0, |root| root.last_position),
        previous: start
            .as_ref()
            .and_then(|root| super::roots::bytes_of(&root.digest))
            .unwrap_or_else(|| vec![0; 32]),
        roots: good.into(),
        seen: VecDeque::new(),
        highest_old: 0,
        hold: 0,
    };
    found.first_position = walk.at + 1;
    let end = span
        .to
        .and_then(Date::next_day)
        .map(|day| day.midnight().assume_utc());
    walk.roots.retain(|root| root.last_position > walk.at);
    let done = walk.go(pool, tenant, end, span.until).await?;
    found.intact = walk.at + 1 - found.first_position;
    found.roots.hold = walk.hold;
    found.complete = !matches!(done, Done::OutOfTime);
    found.broken = match done {
        Done::Broken(broken) => Some(broken),
        Done::OutOfTime => None,
        Done::End if end.is_none() => match walk.roots.front() {
            Some(root) => Some(Broken {
                what: Wrong::CutOff,
                position: Some(walk.at + 1),
                entry_id: None,
                day: Some(root.day.clone()),
            }),
            None => None,
        },
        Done::End => None,
    };
    if found.broken.is_none() && found.complete && end.is_none() {
        found.unsealed = unsealed(pool, tenant, span.until.is_some()).await?;
    }
    Ok(found)
}

enum Done {
    End,
    OutOfTime,
    Broken(Broken),
}

struct Walk {
    /// Last place that holds, and its digest.
    at: i64,
    previous: Vec<u8>,
    /// Those that stand further on, nearest first.
    roots: VecDeque<Root>,
    /// When the highest entry so far was sealed, while it is not long ago for the links that come.
    seen: VecDeque<(OffsetDateTime, i64)>,
    /// The highest entry that was sealed long before the link at hand.
    highest_old: i64,
    hold: u32,
}

impl Walk {
    async fn go(
        &mut self,
        pool: &PgPool,
        tenant: &TenantId,
        end: Option<OffsetDateTime>,
        until: Option<Instant>,
    ) -> Result<Done, sqlx::Error> {
        loop {
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Done::OutOfTime);
            }
            let mut tx = Tx::begin(pool, tenant).await?;
            let links: Vec<Link> = sqlx::query_as(
                "select position, entry_id, digest, sealed_at from audit.chain where position > $1
                 order by tenant_id, position limit $2",
            )
            .bind(self.at)
            .bind(CHUNK)
            .fetch_all(tx.conn())
            .await?;
            let ids: Vec<i64> = links.iter().map(|link| link.entry_id).collect();
            let entries: Vec<Entry> = sqlx::query_as(
                "select e.id, e.tenant_id, e.recorded_at, e.actor, e.action, e.object, e.objects, e.reason, e.causes,
                        e.detail::text as detail
                 from audit.entries e where e.id = any($1)",
            )
            .bind(ids)
            .fetch_all(tx.conn())
            .await?;
            tx.rollback().await?;
            if links.is_empty() {
                return Ok(Done::End);
            }
            let entries: HashMap<i64, Entry> =
                entries.into_iter().map(|entry| (entry.id, entry)).collect();
            for link in links {
                if end.is_some_and(|end| link.sealed_at >= end) {
                    return Ok(Done::End);
                }
                if let Some(what) = self.look(&link, entries.get(&link.entry_id)) {
                    return Ok(Done::Broken(Broken {
                        what,
                        position: Some(self.at + 1),
                        entry_id: (what != Wrong::Gap && what != Wrong::Relaid)
                            .then_some(link.entry_id),
                        day: Some(day_text(link.sealed_at.date())),
                    }));
                }
            }
        }
    }

    /// Takes one step; says what is wrong with it.
    fn look(&mut self, link: &Link, entry: Option<&Entry>) -> Option<Wrong> {
        if link.position != self.at + 1 {
            return Some(Wrong::Gap);
        }
        let Some(entry) = entry else {
            return Some(Wrong::Missing);
        };
        if entry.link(&self.previous)[..] != link.digest[..] {
            return Some(Wrong::Altered);
        }
        while let Some((sealed, id)) = self.seen.front()
            && *sealed + PUT_IN <= link.sealed_at
        {
            self.highest_old = self.highest_old.max(*id);
            self.seen.pop_front();
        }
        if link.entry_id < self.highest_old {
            return Some(Wrong::Inserted);
        }
        if self.seen.back().is_none_or(|(_, id)| *id < link.entry_id) {
            self.seen.push_back((link.sealed_at, link.entry_id));
        }
        while let Some(root) = self.roots.front()
            && root.last_position <= link.position
        {
            if root.last_position == link.position && root.digest != hex(&link.digest) {
                return Some(Wrong::Relaid);
            }
            self.hold += 1;
            self.roots.pop_front();
        }
        self.at = link.position;
        self.previous.clone_from(&link.digest);
        None
    }
}

/// Entries without a link; when there is little time only those among which a late one can be.
async fn unsealed(pool: &PgPool, tenant: &TenantId, quick: bool) -> Result<i64, sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let from: i64 = if quick {
        sqlx::query_scalar("select coalesce(max(entry_id), 0) from audit.chain")
            .fetch_one(tx.conn())
            .await
            .map(|last: i64| last - LATE)?
    } else {
        0
    };
    let count = sqlx::query_scalar(
        "select count(*) from audit.entries e
         where e.id > $1 and not exists (select from audit.chain c where c.entry_id = e.id)",
    )
    .bind(from)
    .fetch_one(tx.conn())
    .await?;
    tx.rollback().await?;
    Ok(count)
}

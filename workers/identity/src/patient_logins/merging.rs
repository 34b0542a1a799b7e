//! What merges and unmerges do to log-ins of patients. They never fail for it, and nobody is asked: which one is left follows from the
//! records.

use hub_core::{Envelope, Tx, Verdict};
use schemas::patients::{PatientMerged, PatientUnmerged};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{one_at_a_time, shut};
use crate::trail::{self, Entry};
use crate::worker::{Asked, Done};

/// Two records became one person's: of two log-ins one survives, and one alone goes along.
pub(crate) async fn merged(tx: &mut Tx<'_>, asked: Asked<'_, PatientMerged>) -> Done {
    let fact = &asked.body;
    let why = because("records of one patient were merged", fact.reason.as_deref());
    one_at_a_time(tx).await?;
    let changed = settle(tx, asked.envelope, &[fact.survivor, fact.retired], &why).await?;
    Ok(told(changed))
}

/// A merge was taken back: a log-in that went along goes home. One that was ended stays ended, and the trail says so: who has it
/// in hand may be the other patient.
pub(crate) async fn unmerged(tx: &mut Tx<'_>, asked: Asked<'_, PatientUnmerged>) -> Done {
    let fact = &asked.body;
    let why = because("a merge was taken back", fact.reason.as_deref());
    one_at_a_time(tx).await?;
    let both = [fact.survivor, fact.restored];
    let changed = settle(tx, asked.envelope, &both, &why).await?;
    let mut stay: Vec<Uuid> = sqlx::query_scalar(
        "select l.user_id from users.patient_logins l
         where l.ended_as = 'merge'
           and l.made_for in (select f.id from unnest($1::uuid[]) as asked(id)
                              cross join lateral patients.family_of(patients.standing(asked.id)) as f(id))
           and not exists (select from users.patient_logins o
                           where o.ended_at is null and o.patient_id = patients.standing(l.made_for))
         order by l.user_id",
    )
    .bind(&both[..])
    .fetch_all(tx.conn())
    .await?;
    if stay.is_empty() {
        return Ok(told(changed));
    }
    let detail = json!({ "users": stay });
    let mut objects = vec![fact.restored, fact.survivor];
    objects.append(&mut stay);
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: HUB,
            action: "users.patient_login.stays_ended",
            object: format!("patient {}", fact.restored),
            objects,
            reason: Some(&why),
            detail,
        },
    )
    .await?;
    Ok(Verdict::applied())
}

/// Nobody decided about log-ins; that records are one person's, somebody did: his name stands in the entry of the merge.
const HUB: &str = "hub";

fn because(what: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{what}: {reason}"),
        None => what.to_owned(),
    }
}

fn told(changed: bool) -> Verdict {
    if changed {
        Verdict::applied()
    } else {
        Verdict::Unchanged
    }
}

/// A log-in that stands, and where it belongs now.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Standing {
    user_id: Uuid,
    made_for: Uuid,
    /// Where it is counted.
    patient_id: Uuid,
    /// Where it is to be counted.
    person: Uuid,
    /// Its own record was merged into that one, and not into one that was merged into it.
    directly: bool,
    created_at: OffsetDateTime,
}

impl Standing {
    /// Who comes first survives: the surviving record's own, then the one that is there already, then the nearest, then the oldest.
    fn rank(&self) -> (bool, bool, bool, OffsetDateTime, Uuid) {
        (
            self.made_for != self.person,
            self.patient_id != self.person,
            !self.directly,
            self.created_at,
            self.user_id,
        )
    }
}

/// Brings the log-ins of these people to what the index says of their records now: each is counted at the record that stands for
/// its own, and of several there one survives. True when something had to change.
pub(super) async fn settle(
    tx: &mut Tx<'_>,
    cause: &Envelope,
    patients: &[Uuid],
    why: &str,
) -> Result<bool, sqlx::Error> {
    let mut logins = of_families(tx, patients).await?;
    logins.sort_by_key(|login| (login.person, login.rank()));
    let mut survivors: Vec<Standing> = Vec::with_capacity(logins.len());
    let mut changed = false;
    // first those that end, so that who moves finds his place free
    for login in logins {
        match survivors.last() {
            Some(survivor) if survivor.person == login.person => {
                end_for(tx, cause, &login, survivor.user_id, why).await?;
                changed = true;
            }
            _ => survivors.push(login),
        }
    }
    let moving: Vec<Standing> = survivors
        .into_iter()
        .filter(|login| login.patient_id != login.person)
        .collect();
    if moving.len() > 1 {
        leave(tx, &moving).await?;
    }
    for login in &moving {
        go_along(tx, cause, login, why).await?;
        changed = true;
    }
    Ok(changed)
}

/// One may go where another one still is, who goes elsewhere: all leave before the first arrives, for a moment that nobody sees, to
/// places that are no patient's.
async fn leave(tx: &mut Tx<'_>, moving: &[Standing]) -> Result<(), sqlx::Error> {
    let users: Vec<Uuid> = moving.iter().map(|login| login.user_id).collect();
    sqlx::query("update users.patient_logins set patient_id = user_id where user_id = any($1)")
        .bind(users)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Log-ins that stand and belong to these people, or are counted there.
async fn of_families(tx: &mut Tx<'_>, patients: &[Uuid]) -> Result<Vec<Standing>, sqlx::Error> {
    let mut asked = patients.to_vec();
    loop {
        let found: Vec<Standing> = sqlx::query_as(
            "with family as (
                 select f.id from unnest($1::uuid[]) as asked(id)
                 cross join lateral patients.family_of(patients.standing(asked.id)) as f(id)
             )
             select l.user_id, l.made_for, l.patient_id, s.id as person, l.created_at,
                    exists (select from patients.patients p where p.id = l.made_for and p.merged_into = s.id) as directly
             from users.patient_logins l
             cross join lateral (select coalesce(patients.standing(l.made_for), l.made_for) as id) as s
             where l.ended_at is null
               and (l.made_for in (select id from family) or l.patient_id in (select id from family))",
        )
        .bind(&asked)
        .fetch_all(tx.conn())
        .await?;
        // what is counted here and belongs elsewhere goes there, where there may be another
        let elsewhere: Vec<Uuid> = found
            .iter()
            .map(|login| login.person)
            .filter(|person| !asked.contains(person))
            .collect();
        if elsewhere.is_empty() {
            return Ok(found);
        }
        asked.extend(elsewhere);
    }
}

async fn end_for(
    tx: &mut Tx<'_>,
    cause: &Envelope,
    login: &Standing,
    survivor: Uuid,
    why: &str,
) -> Result<(), sqlx::Error> {
    let ended = shut(tx, login.user_id, HUB, "merge", why).await?;
    trail::note(
        tx,
        cause,
        Entry {
            actor: HUB,
            action: "users.patient_login.end",
            object: format!("patient {}", login.person),
            objects: vec![login.person, login.made_for, login.user_id, survivor],
            reason: Some(why),
            detail: json!({
                "as": "merge", "made_for": login.made_for, "survivor": survivor, "sessions_ended": ended,
            }),
        },
    )
    .await
}

async fn go_along(
    tx: &mut Tx<'_>,
    cause: &Envelope,
    login: &Standing,
    why: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update users.patient_logins set patient_id = $2, version = version + 1 where user_id = $1",
    )
    .bind(login.user_id)
    .bind(login.person)
    .execute(tx.conn())
    .await?;
    trail::note(
        tx,
        cause,
        Entry {
            actor: HUB,
            action: "users.patient_login.move",
            object: format!("patient {}", login.person),
            objects: vec![login.person, login.patient_id, login.user_id],
            reason: Some(why),
            detail: json!({ "from": login.patient_id, "to": login.person }),
        },
    )
    .await
}

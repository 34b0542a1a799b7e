//! Numbers on tubes: whose a number is, and which orders it carries.
//!
//! A number belongs to one patient while any of his orders is open on it; that is a foreign key (schemas/sql/0006), and
//! what is here only asks politely first. Numbers are locked in their order, so that two workers never wait crosswise.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hub_core::Tx;
use schemas::care::Specimen;
use uuid::Uuid;

/// The numbers that stand on the tubes of an order: the accession's, else the filler's.
pub(crate) fn numbers(specimens: &[Specimen]) -> impl Iterator<Item = &str> {
    specimens.iter().filter_map(|specimen| {
        [&specimen.number, &specimen.filler_number]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .find(|number| !number.is_empty())
    })
}

/// Claims numbers for patients and locks them; answers which it could have. What is not among them carries another
/// patient's open orders.
pub(crate) async fn claim(
    tx: &mut Tx<'_>,
    wanted: &BTreeMap<&str, Uuid>,
) -> Result<HashSet<String>, sqlx::Error> {
    if wanted.is_empty() {
        return Ok(HashSet::new());
    }
    let tenant = tx.tenant().clone();
    let claimed: Vec<String> = sqlx::query_scalar(
        "insert into clinical.tubes as tube (tenant_id, number, subject_key) \
         select $1, wanted.* from unnest($2::text[], $3::uuid[]) as wanted \
         on conflict (tenant_id, number) do update set subject_key = excluded.subject_key \
         where tube.subject_key is not distinct from excluded.subject_key \
         or not exists (select from clinical.order_tubes as carried \
             where carried.tenant_id = tube.tenant_id and carried.number = tube.number and carried.state = 'open') \
         returning number",
    )
    .bind(tenant.as_str())
    .bind(wanted.keys().copied().collect::<Vec<_>>())
    .bind(wanted.values().copied().collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    Ok(claimed.into_iter().collect())
}

/// An order on a tube.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) subject: Uuid,
    /// `open`; `done`: its results are final; `off`: revoked, or held.
    pub(crate) state: &'static str,
}

/// Puts orders on tubes, by order and number.
pub(crate) async fn carry(
    tx: &mut Tx<'_>,
    rows: &BTreeMap<(Uuid, &str), Carried>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.order_tubes as carried (tenant_id, order_id, number, subject_key, state, settled_at) \
         select $1, row.*, case when row.state <> 'open' then now() end \
         from unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[]) as row (order_id, number, subject_key, state) \
         on conflict (order_id, number) do update set subject_key = excluded.subject_key, state = excluded.state, \
         settled_at = excluded.settled_at \
         where carried.rejected_at is null \
         and (carried.subject_key, carried.state) is distinct from (excluded.subject_key, excluded.state)",
    )
    .bind(tenant.as_str())
    .bind(rows.keys().map(|(order, _)| *order).collect::<Vec<_>>())
    .bind(rows.keys().map(|(_, number)| *number).collect::<Vec<_>>())
    .bind(rows.values().map(|row| row.subject).collect::<Vec<_>>())
    .bind(rows.values().map(|row| row.state).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Brings the tubes of orders to the state that the orders have now. A rejected one carries none of them any more.
pub(crate) async fn settle(tx: &mut Tx<'_>, orders: &[Uuid]) -> Result<(), sqlx::Error> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "with stand as ( \
             select id, case when status in ('active', 'on_hold', 'cancel_requested', 'unknown') \
             and held is null then 'open' \
             when status = 'completed' then 'done' else 'off' end as state \
             from clinical.orders where id = any($1)) \
         update clinical.order_tubes as carried set state = stand.state, \
         settled_at = case when stand.state <> 'open' then now() end \
         from stand where carried.order_id = stand.id and carried.state <> stand.state and carried.rejected_at is null",
    )
    .bind(orders)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Locks numbers that results without a patient name, so that an order for one of them comes wholly before or wholly after.
pub(crate) async fn lock(tx: &mut Tx<'_>, numbers: &BTreeSet<&str>) -> Result<(), sqlx::Error> {
    if numbers.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.tubes (tenant_id, number) select $1, unnest($2::text[]) \
         on conflict (tenant_id, number) do update set number = excluded.number",
    )
    .bind(tenant.as_str())
    .bind(numbers.iter().copied().collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Whose a tube is by the orders on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The patient of the open orders; by the foreign key there is one.
    pub(crate) open: Option<Uuid>,
    /// Patients of orders that were completed of late, or whose tube was rejected.
    done: HashSet<Uuid>,
    /// The laboratory rejected it of late, as a tube of somebody's.
    is_rejected: bool,
}

impl Owner {
    /// The patient of a result that names none: by open orders, else by those that were done of late (reruns, corrections,
    /// a second analyzer) when they are one patient's.
    pub(crate) fn subject(&self) -> Option<Uuid> {
        self.open.or_else(|| {
            let mut done = self.done.iter();
            done.next().copied().filter(|_| done.next().is_none())
        })
    }

    /// A result that names this patient does not agree with the tube: another's open orders are on it, or it was rejected as another's.
    /// A rejected tube that carries a wrong name is the one that must not be believed.
    pub(crate) fn is_not(&self, named: Uuid) -> bool {
        match self.open {
            Some(ordered) => ordered != named,
            None => self.is_rejected && !self.done.contains(&named),
        }
    }
}

/// What orders say of tubes, by number; numbers without orders are not in it. Whose a rejected tube was is known still: what an
/// instrument measured of it is no riddle.
pub(crate) async fn owners(
    tx: &mut Tx<'_>,
    numbers: &BTreeSet<&str>,
) -> Result<HashMap<String, Owner>, sqlx::Error> {
    let mut owners: HashMap<String, Owner> = HashMap::new();
    if numbers.is_empty() {
        return Ok(owners);
    }
    let rows: Vec<(String, Uuid, String)> = sqlx::query_as(
        "select distinct number, subject_key, case when rejected_at is null then state else 'rejected' end \
         from clinical.order_tubes where number = any($1) \
         and (settled_at is null or settled_at > now() - interval '7 days')",
    )
    .bind(numbers.iter().copied().collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    for (number, subject, state) in rows {
        let owner = owners.entry(number).or_default();
        match state.as_str() {
            "open" => owner.open = Some(subject),
            "done" => {
                owner.done.insert(subject);
            }
            "rejected" => {
                owner.done.insert(subject);
                owner.is_rejected = true;
            }
            _ => {}
        }
    }
    Ok(owners)
}

/// Numbers of the tubes that orders are on.
pub(crate) async fn of_orders(
    tx: &mut Tx<'_>,
    orders: &[Uuid],
) -> Result<HashMap<Uuid, HashSet<String>>, sqlx::Error> {
    let mut found: HashMap<Uuid, HashSet<String>> = HashMap::new();
    if orders.is_empty() {
        return Ok(found);
    }
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "select order_id, number from clinical.order_tubes where order_id = any($1)",
    )
    .bind(orders)
    .fetch_all(tx.conn())
    .await?;
    for (order, number) in rows {
        found.entry(order).or_default().insert(number);
    }
    Ok(found)
}

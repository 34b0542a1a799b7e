//! What rows refer to by numbers, as ids of resources. A number that leads to more than one row of the person leads nowhere:
//! a wrong reference is worse than none.

use std::collections::HashMap;

use hub_core::Tx;
use uuid::Uuid;
use worker_clinical::queries::{self, Numbered, Page};

use crate::page::Cursor;
use crate::problem::Problem;
use crate::reads::care::patients_of;
use crate::reads::patients::Keys;

/// Where a walk goes on.
pub(super) fn page(after: Option<&str>, limit: u16) -> Result<Page, Problem> {
    let after = after
        .map(|text| text.parse().map_err(|_| Cursor::refused()))
        .transpose()?;
    Ok(Page { limit, after })
}

pub(super) fn patient_of(keys: &Keys, key: Option<Uuid>) -> Option<Uuid> {
    key.and_then(|key| keys.get(&key).copied().flatten())
}

/// The numbers of a row, and whose it is.
pub(super) struct Carries<'a> {
    pub(super) subject: Option<Uuid>,
    pub(super) visit: Option<&'a str>,
    pub(super) placer: Option<&'a str>,
    pub(super) tube: Option<&'a str>,
    /// Of what was ordered.
    pub(super) code: Option<&'a str>,
}

/// Visits, orders and tubes that the rows of a page name.
pub(super) struct Links {
    /// Standing records of all keys that take part.
    pub(super) keys: Keys,
    visits: HashMap<String, Vec<Numbered>>,
    orders: HashMap<String, Vec<Numbered>>,
    tubes: HashMap<String, Vec<Numbered>>,
}

impl Links {
    /// Looks up everything that the rows name: four queries, however many rows.
    pub(super) async fn of<'a>(
        tx: &mut Tx<'_>,
        rows: impl Iterator<Item = Carries<'a>> + Clone,
    ) -> Result<Self, Problem> {
        let all = |read: fn(&Carries<'a>) -> Option<&'a str>| -> Vec<String> {
            let mut numbers: Vec<String> = rows
                .clone()
                .filter_map(|row| read(&row))
                .map(str::to_owned)
                .collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        let visits = queries::encounters_of_visits(tx.conn(), &all(|row| row.visit)).await?;
        let orders = queries::orders_of_placers(tx.conn(), &all(|row| row.placer)).await?;
        let tubes = queries::specimens_of_numbers(tx.conn(), &all(|row| row.tube)).await?;
        let named = visits
            .iter()
            .chain(&orders)
            .chain(&tubes)
            .map(|one| one.subject_key);
        let subjects: Vec<Option<Uuid>> = rows.map(|row| row.subject).chain(named).collect();
        Ok(Self {
            keys: patients_of(tx, subjects).await?,
            visits: by_number(visits),
            orders: by_number(orders),
            tubes: by_number(tubes),
        })
    }

    pub(super) fn patient(&self, subject: Option<Uuid>) -> Option<Uuid> {
        patient_of(&self.keys, subject)
    }

    pub(super) fn encounter(&self, row: &Carries<'_>) -> Option<Uuid> {
        self.only(self.visits.get(row.visit?)?, row.subject, |_| true)
    }

    pub(super) fn order(&self, row: &Carries<'_>) -> Option<Uuid> {
        let numbered = self.orders.get(row.placer?)?;
        self.only(numbered, row.subject, |one| {
            row.code.is_none() || one.code.as_deref() == row.code
        })
    }

    pub(super) fn tube(&self, row: &Carries<'_>) -> Option<Uuid> {
        self.only(self.tubes.get(row.tube?)?, row.subject, |_| true)
    }

    /// The one of the same person.
    fn only(
        &self,
        numbered: &[Numbered],
        subject: Option<Uuid>,
        fits: impl Fn(&Numbered) -> bool,
    ) -> Option<Uuid> {
        let same_person = |one: &Numbered| {
            one.subject_key == subject
                || self
                    .patient(subject)
                    .is_some_and(|patient| self.patient(one.subject_key) == Some(patient))
        };
        let mut fitting = numbered
            .iter()
            .filter(|one| same_person(one) && fits(one))
            .map(|one| one.id);
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }
}

fn by_number(rows: Vec<Numbered>) -> HashMap<String, Vec<Numbered>> {
    let mut map: HashMap<String, Vec<Numbered>> = HashMap::new();
    for row in rows {
        map.entry(row.number.clone()).or_default().push(row);
    }
    map
}

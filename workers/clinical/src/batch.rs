//! A batch on its way through the worker: what each message led to, and what is to be said.

use std::collections::{BTreeMap, BTreeSet};

use hub_core::{Envelope, Outgoing, Refusal, Tx, Verdict};
use schemas::Body;
use uuid::Uuid;

/// The messages and, by the same index, their fate.
pub(crate) struct Batch<'a> {
    pub(crate) envelopes: &'a [Envelope],
    fates: Vec<Fate>,
    pub(crate) changes: Changes,
    causes: BTreeSet<usize>,
    touched: BTreeMap<Uuid, usize>,
    new: BTreeSet<Uuid>,
}

#[derive(Default)]
enum Fate {
    #[default]
    Open,
    Unchanged,
    Refused(Refusal),
    Applied {
        outgoing: Vec<Outgoing>,
        answer: Option<serde_json::Value>,
    },
}

/// How many rows of each kind the machine changed in this transaction.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) encounters: usize,
    pub(crate) orders: usize,
    pub(crate) reports: usize,
    pub(crate) controls: usize,
    pub(crate) sendings: usize,
    pub(crate) vitals: usize,
    pub(crate) alarms: usize,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(envelopes: &'a [Envelope]) -> Self {
        Self {
            envelopes,
            fates: envelopes.iter().map(|_| Fate::Open).collect(),
            changes: Changes::default(),
            causes: BTreeSet::new(),
            touched: BTreeMap::new(),
            new: BTreeSet::new(),
        }
    }

    /// Something is known of a report that its verification may depend on; `slot` is the message that brought it.
    pub(crate) fn touch(&mut self, report: Uuid, slot: usize) {
        self.new.remove(&report);
        self.touched.insert(report, slot);
    }

    /// As [`Batch::touch`], of a report that this transaction made: nothing of it was replaced and nobody else can see it.
    pub(crate) fn touch_new(&mut self, report: Uuid, slot: usize) {
        self.new.insert(report);
        self.touched.insert(report, slot);
    }

    /// What was touched, each with the message that did it last; and which of it was on file before.
    pub(crate) fn take_touched(&mut self) -> (BTreeMap<Uuid, usize>, Vec<Uuid>) {
        let touched = std::mem::take(&mut self.touched);
        let new = std::mem::take(&mut self.new);
        let before = touched.keys().filter(|id| !new.contains(id)).copied();
        let before = before.collect();
        (touched, before)
    }

    /// Places of all messages of one name, in order.
    pub(crate) fn named(&self, name: &str) -> Vec<usize> {
        (0..self.envelopes.len())
            .filter(|&slot| self.envelopes[slot].name == name)
            .collect()
    }

    /// Places of all messages of two names, in order.
    pub(crate) fn named_either(&self, one: &str, other: &str) -> Vec<usize> {
        (0..self.envelopes.len())
            .filter(|&slot| [one, other].contains(&self.envelopes[slot].name.as_str()))
            .collect()
    }

    pub(crate) fn refuse(&mut self, slot: usize, refusal: Refusal) {
        self.fates[slot] = Fate::Refused(refusal);
    }

    pub(crate) fn unchanged(&mut self, slot: usize) {
        if matches!(self.fates[slot], Fate::Open) {
            self.fates[slot] = Fate::Unchanged;
        }
    }

    /// The message changed state.
    pub(crate) fn applied(&mut self, slot: usize) {
        if !matches!(self.fates[slot], Fate::Applied { .. }) {
            self.fates[slot] = Fate::Applied {
                outgoing: Vec::new(),
                answer: None,
            };
        }
        self.causes.insert(slot);
    }

    /// The message changed state, and this is said of it; its aggregate, and with it the lane, stays.
    pub(crate) fn say<T: Body>(&mut self, slot: usize, body: &T) {
        self.applied(slot);
        let cause = &self.envelopes[slot];
        if let Fate::Applied { outgoing, .. } = &mut self.fates[slot] {
            let nth = u32::try_from(outgoing.len()).unwrap_or(u32::MAX);
            outgoing.push(Outgoing::new(cause, nth, cause.aggregate.clone(), body));
        }
    }

    /// As [`Batch::say`], of something else: its own aggregate, and with it its own lane.
    pub(crate) fn say_of<T: Body>(&mut self, slot: usize, aggregate: Uuid, body: &T) {
        self.applied(slot);
        let cause = &self.envelopes[slot];
        if let Fate::Applied { outgoing, .. } = &mut self.fates[slot] {
            let nth = u32::try_from(outgoing.len()).unwrap_or(u32::MAX);
            outgoing.push(Outgoing::new(cause, nth, aggregate.to_string(), body));
        }
    }

    /// What a waiting REST call is told.
    pub(crate) fn answer(&mut self, slot: usize, value: serde_json::Value) {
        self.applied(slot);
        if let Fate::Applied { answer, .. } = &mut self.fates[slot] {
            *answer = Some(value);
        }
    }

    /// One audit row for all that the machine changed by itself in this transaction.
    pub(crate) async fn audit(&self, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
        let object: Vec<String> = [
            ("encounters", self.changes.encounters),
            ("orders", self.changes.orders),
            ("reports", self.changes.reports),
            ("controls", self.changes.controls),
            ("sendings", self.changes.sendings),
            ("vitals", self.changes.vitals),
            ("alarms", self.changes.alarms),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{kind}:{count}"))
        .collect();
        if object.is_empty() {
            return Ok(());
        }
        let causes: Vec<Uuid> = self
            .causes
            .iter()
            .map(|&slot| self.envelopes[slot].id)
            .collect();
        crate::audit::entry(
            tx,
            "worker/clinical",
            "clinical.apply",
            &object.join(" "),
            &causes,
            None,
        )
        .await
    }

    /// One verdict a message. What nobody looked at is a message this worker does not consume.
    pub(crate) fn verdicts(self) -> Vec<Verdict> {
        self.fates
            .into_iter()
            .zip(self.envelopes)
            .map(|(fate, envelope)| match fate {
                Fate::Open => Verdict::Refused(Refusal::new(
                    "envelope.type",
                    format!("the clinical worker does not consume {}", envelope.name),
                )),
                Fate::Unchanged => Verdict::Unchanged,
                Fate::Refused(refusal) => Verdict::Refused(refusal),
                Fate::Applied { outgoing, answer } => Verdict::Applied { outgoing, answer },
            })
            .collect()
    }
}

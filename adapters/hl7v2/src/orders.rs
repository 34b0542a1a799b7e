//! What an instrument that speaks HL7 asks, what it is told, and how it takes it. Pure: no socket, no clock.
//!
//! A query is read from the stored message ([`question`]); the edge asks the worklist; [`answer`] writes what goes back and
//! what follows, in the channel's dialect. Only tests that the tables can name in the instrument's words are sent.
//!
//! Sources: IHE PaLM TF, Laboratory Analytical Workflow (LAB-27, LAB-28); HL7 v2.5.1 chapters 4 and 5; Mindray host interface
//! manuals (v2.3.1) as public drivers and captures show them (lab-devices §3.1).

use bytes::Bytes;
use schemas::worklist::{WorklistAnswer, WorklistSpecimen};
use time::OffsetDateTime;

use crate::settings::{Hl7v2Settings, OrderDialect};

mod chemistry;
mod haematology;
mod head;
mod law;
mod patient;
pub mod question;
pub mod taken;

pub(crate) use law::order_of_step;
pub use question::{Asks, Question};

/// Why something is said.
#[derive(Debug, Clone, Copy)]
pub enum Occasion<'q> {
    /// The instrument asked, and this is what is pending.
    Query(&'q Question),
    /// It asked, and the worklist could not be read.
    Failed(&'q Question),
}

/// What goes back to an instrument that asked.
#[derive(Debug, Default)]
pub struct Reply {
    /// The answer to the query, one message.
    pub content: Bytes,
    /// Specimens whose orders are in the answer itself.
    pub inside: Vec<WorklistSpecimen>,
    /// Messages of ours that follow; each is acknowledged by the instrument.
    pub follow: Vec<OrderMessage>,
}

/// A message of ours with the orders on one specimen.
#[derive(Debug, Clone)]
pub struct OrderMessage {
    pub content: Bytes,
    /// MSH-10, which the acknowledgement repeats.
    pub control_id: String,
    /// What it tells; none for "nothing to be done".
    pub specimen: Option<WorklistSpecimen>,
    /// How the orders are called in it.
    pub lines: Vec<OrderLine>,
}

/// One ordered code in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// OBR-2; empty where the dialect has none.
    pub number: String,
    pub order: uuid::Uuid,
    pub cancel: bool,
    pub code: String,
}

/// Makes control ids.
pub trait ControlIds {
    /// The next one, as this dialect's instruments like it.
    fn next(&self, dialect: OrderDialect) -> String;
}

/// What goes back to the query in `bytes`. `worklist` is empty for [`Occasion::Failed`].
#[must_use]
pub fn answer(
    settings: &Hl7v2Settings,
    occasion: Occasion<'_>,
    worklist: &WorklistAnswer,
    ids: &dyn ControlIds,
    now: OffsetDateTime,
) -> Reply {
    let (Occasion::Query(question) | Occasion::Failed(question)) = occasion;
    let Some(orders) = &settings.orders else {
        return Reply::default();
    };
    match orders.dialect {
        OrderDialect::Law => law::answer(settings, orders, occasion, question, worklist, ids, now),
        OrderDialect::MindrayChemistry => {
            chemistry::answer(settings, orders, occasion, question, worklist, ids, now)
        }
        OrderDialect::MindrayHaematology => {
            haematology::answer(settings, orders, occasion, question, worklist, now)
        }
    }
}

/// The message that tells an instrument of a specimen without having been asked; none in dialects that have no such message.
#[must_use]
pub fn download(
    settings: &Hl7v2Settings,
    specimen: &WorklistSpecimen,
    ids: &dyn ControlIds,
    now: OffsetDateTime,
) -> Option<OrderMessage> {
    let orders = settings.orders.as_ref()?;
    (orders.dialect == OrderDialect::Law)
        .then(|| law::unasked(settings, orders, specimen, ids, now))
}

/// Codes of one action, each once, in the order of the tests.
fn codes(specimen: &WorklistSpecimen, cancel: bool) -> Vec<&str> {
    use schemas::worklist::TestAction;
    let mut codes: Vec<&str> = Vec::new();
    for test in &specimen.tests {
        if (test.action == TestAction::Cancel) != cancel {
            continue;
        }
        for code in &test.instrument_codes {
            if !codes.contains(&code.as_str()) {
                codes.push(code);
            }
        }
    }
    codes
}

/// The specimen with the tests of it that a dialect can say: those to be performed and named.
fn performed(specimen: &WorklistSpecimen) -> WorklistSpecimen {
    use schemas::worklist::TestAction;
    let mut told = specimen.clone();
    told.tests
        .retain(|test| test.action == TestAction::Perform && !test.instrument_codes.is_empty());
    told
}

#[cfg(test)]
pub(crate) mod tests;

//! One `lis.result.received` with everything that is derived from it before the database is asked.

use std::collections::HashMap;

use hub_core::mappings::{Lookup, Mappings};
use hub_core::{Envelope, Refusal};
use schemas::care::HoldReason;
use time::OffsetDateTime;
use uuid::Uuid;

use super::incoming::{Observation, Report, Text, said};
use super::key::{self, Identity};
use super::status;
use crate::body;
use crate::unmatched::Reason;

/// A report on its way into the tables.
pub(crate) struct Filing<'a> {
    /// Place in the batch.
    pub(crate) slot: usize,
    pub(crate) envelope: &'a Envelope,
    pub(crate) report: Report<'a>,
    pub(crate) identity: Identity,
    /// OBR-7.
    pub(crate) observed_at: Option<OffsetDateTime>,
    /// OBR-22.
    pub(crate) issued_at: Option<OffsetDateTime>,
    /// OBX-14 of each result.
    pub(crate) item_times: Vec<Option<OffsetDateTime>>,
    /// Id the report gets if it is new.
    pub(crate) new_id: Uuid,
    /// Whose chart it goes on: the patient that the message names, or the one of the order on its specimen.
    pub(crate) subject: Option<Uuid>,
    /// Why it goes on nobody's.
    pub(crate) unmatched: Option<Reason>,
    /// The laboratory rejected its specimen: it is filed, and waits for a person wherever it comes from.
    pub(crate) of_rejected: bool,
}

impl<'a> Filing<'a> {
    /// # Errors
    /// A refusal when body or times cannot be read.
    pub(crate) fn read(
        slot: usize,
        envelope: &'a Envelope,
        body: &'a [u8],
    ) -> Result<Self, Refusal> {
        let report = Report::decode(envelope, body)?;
        let observed_at = body::time(said(report.observed_at.as_ref()), "observed_at")?;
        let issued_at = body::time(said(report.issued_at.as_ref()), "issued_at")?;
        let item_times = item_times(&report.results)?;
        let identity = key::identity(
            &envelope.tenant,
            envelope.id,
            &report,
            observed_at.or_else(|| item_times.iter().flatten().next().copied()),
        );
        if report.results.len() > usize::from(i16::MAX as u16) {
            return Err(Refusal::new(
                "clinical.too_many_results",
                format!(
                    "{} results in one report, at most {}",
                    report.results.len(),
                    i16::MAX
                ),
            ));
        }
        let mut filing = Self {
            slot,
            envelope,
            report,
            identity,
            observed_at,
            issued_at,
            item_times,
            new_id: Uuid::now_v7(),
            subject: None,
            unmatched: None,
            of_rejected: false,
        };
        filing.subject = filing.named();
        Ok(filing)
    }

    /// The patient that the message names.
    pub(crate) fn named(&self) -> Option<Uuid> {
        self.report.subject.as_ref().map(|subject| subject.key.0)
    }

    /// Control or calibration material, by the specimen's role (HL7 table 0369): Q control, E electronic control, C
    /// calibrator, V verifying calibrator. None of it is anybody's.
    pub(crate) fn is_control(&self) -> bool {
        let role = self
            .report
            .specimen
            .as_ref()
            .and_then(|tube| tube.role.as_deref());
        matches!(role, Some("Q" | "E" | "C" | "V"))
    }

    pub(crate) fn specimen_number(&self) -> Option<&str> {
        key::specimen_number(&self.report)
    }

    /// The filler's number for its specimen.
    pub(crate) fn filler_s_tube(&self) -> Option<&str> {
        let specimen = self.report.specimen.as_ref()?;
        specimen.filler_number.as_deref()
    }

    /// Notes which results have a known code and an unknown unit. What waits for its patient says only that, and who maps it later
    /// must not look for a code that is mapped.
    pub(crate) fn ask_units(&mut self, maps: &Mappings) {
        for result in &mut self.report.results {
            result.asks_unit = match result.held {
                Some(HoldReason::UnknownUnit) => true,
                Some(HoldReason::NoPatient | HoldReason::PatientMismatch) => {
                    let text = |text: Option<&Text<'_>>| said(text).unwrap_or_default().to_owned();
                    result.mapped.is_none()
                        && matches!(result.value.kind.as_str(), "quantity" | "range")
                        && maps.code(
                            &self.report.channel,
                            &text(result.code.system.as_ref()),
                            result.code.code.as_str(),
                            &text(result.unit.as_ref()),
                            true,
                        ) == Lookup::UnknownUnit
                }
                _ => false,
            };
        }
    }

    /// The report goes where the orders on its specimen say, or waits for a person.
    pub(crate) fn settle(&mut self, verdict: Result<Uuid, Reason>) {
        for result in &mut self.report.results {
            result.held = match (verdict, result.held) {
                (Err(Reason::PatientMismatch), _) => Some(HoldReason::PatientMismatch),
                (Ok(_), Some(HoldReason::NoPatient)) => result.without_question_of_patient(),
                (_, held) => held,
            };
        }
        self.subject = verdict.ok();
        self.unmatched = verdict.err();
    }

    /// True when it says that something on file was wrong (OBR-25 or an OBX-11 of C, X, W or D).
    pub(crate) fn is_correction(&self) -> bool {
        let corrects = |text: Option<&str>| text.is_some_and(status::corrects);
        corrects(said(self.report.status.as_ref()))
            || self
                .report
                .results
                .iter()
                .any(|result| corrects(said(result.status.as_ref())))
    }

    /// True when the order behind it is done: OBR-25 says so or, where it is empty, every result's status.
    pub(crate) fn is_final(&self) -> bool {
        match said(self.report.status.as_ref()) {
            Some(text) => matches!(text, "F" | "C"),
            None => {
                !self.report.results.is_empty()
                    && self.report.results.iter().all(|result| {
                        said(result.status.as_ref())
                            .is_some_and(|text| status::rank(text) > status::PRELIMINARY)
                    })
            }
        }
    }

    /// True when a mapping that a person made could explain one of its results.
    pub(crate) fn waits_for_mapping(&self) -> bool {
        self.report.results.iter().any(|result| match result.held {
            None => false,
            Some(HoldReason::UnknownCode | HoldReason::UnknownUnit) => true,
            Some(HoldReason::NoPatient | HoldReason::PatientMismatch) => result.mapped.is_none(),
        })
    }
}

/// Most messages give every result the same time: parse a text once as long as it repeats.
fn item_times(results: &[Observation<'_>]) -> Result<Vec<Option<OffsetDateTime>>, Refusal> {
    let mut times = Vec::with_capacity(results.len());
    let mut last: (Option<&str>, Option<OffsetDateTime>) = (None, None);
    for result in results {
        let text = said(result.observed_at.as_ref());
        if text != last.0 {
            last = (text, body::time(text, "results.observed_at")?);
        }
        times.push(last.1);
    }
    Ok(times)
}

/// Splits filings so that no two in one wave touch the same report, in their order.
///
/// A correction may end at any report of its thread, so it waits for all of the thread before it and
/// all after it wait for it.
pub(crate) fn waves<'f, 'a>(filings: &'f [Filing<'a>]) -> Vec<Vec<&'f Filing<'a>>> {
    #[derive(Default)]
    struct Thread {
        next: usize,
        next_after_correction: usize,
    }
    let mut next_of_key: HashMap<Uuid, usize> = HashMap::with_capacity(filings.len());
    let mut threads: HashMap<Uuid, Thread> = HashMap::new();
    let any_correction = filings.iter().any(Filing::is_correction);
    let mut waves: Vec<Vec<&Filing<'_>>> = vec![Vec::with_capacity(filings.len())];
    for filing in filings {
        let next = next_of_key.entry(filing.identity.key).or_default();
        let mut wave = *next;
        if any_correction {
            let thread = threads.entry(filing.identity.thread).or_default();
            let correction = filing.is_correction();
            wave = wave.max(if correction {
                thread.next
            } else {
                thread.next_after_correction
            });
            thread.next = thread.next.max(wave + 1);
            if correction {
                thread.next_after_correction = wave + 1;
            }
        }
        *next = wave + 1;
        if waves.len() <= wave {
            waves.resize_with(wave + 1, Vec::new);
        }
        waves[wave].push(filing);
    }
    waves
}

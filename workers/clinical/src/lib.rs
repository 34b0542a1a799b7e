//! The clinical worker: encounters, beds, orders, specimens, results, reports, and what bedside devices say.
//!
//! It files what source systems report and keeps every version; it never decides which patient a number
//! belongs to (rows carry the key of the identifier as sent, workers/patient leads from it to a person), never
//! deletes, and never converts a unit that no mapping names. REST reads through [`queries`].

mod alarms;
mod audit;
mod batch;
mod beds;
mod body;
mod code_maps;
mod controls;
mod criticals;
mod decimal;
mod encounters;
mod orders;
pub mod queries;
mod reports;
mod specimens;
mod tubes;
mod unmatched;
mod vitals;

use std::sync::Arc;

use hub_core::mappings::MappingStore;
use hub_core::{Envelope, Tx, Verdict, Worker, WorkerError};
use schemas::Body;
use schemas::care::{EncounterReported, OrderReported, ResultReceived};
use schemas::commands::{CancelOrder, ClaimReport, MapCode, PlaceOrder};
use schemas::controls::{DecideControl, DefineControl};
use schemas::criticals::{AcknowledgeCritical, EscalateCriticals};
use schemas::devices::{AlarmReported, BedChanged, ClaimVitals, DiscardVitals, VitalsObserved};
use schemas::sending::OrderSent;

use batch::Batch;
pub use controls::westgard::{InvalidPack, Westgard};
pub use criticals::limits::CriticalLimits;
use reports::Rules;

/// Owner of the Postgres schema `clinical`.
#[derive(Debug, Clone, Default)]
pub struct ClinicalWorker {
    /// What instruments call ordered tests: tells when all of an order is done.
    mappings: Arc<MappingStore>,
    /// How control results are judged.
    westgard: Arc<Westgard>,
    /// Results that somebody must be called about.
    limits: Arc<CriticalLimits>,
}

impl ClinicalWorker {
    /// A worker that knows the tables in force. Without (`default`), orders are closed by codes that are the same.
    #[must_use]
    pub fn new(mappings: Arc<MappingStore>) -> Self {
        Self {
            mappings,
            ..Self::default()
        }
    }

    /// With the rule pack of the site instead of the one that comes with the program.
    #[must_use]
    pub fn with_westgard(mut self, pack: Westgard) -> Self {
        self.westgard = Arc::new(pack);
        self
    }

    /// With the critical limits of the site instead of those that come with the program.
    #[must_use]
    pub fn with_critical_limits(mut self, pack: CriticalLimits) -> Self {
        self.limits = Arc::new(pack);
        self
    }
}

impl Worker for ClinicalWorker {
    const NAME: &'static str = "clinical";
    const CONSUMES: &'static [&'static str] = &[
        EncounterReported::NAME,
        OrderReported::NAME,
        ResultReceived::NAME,
        OrderSent::NAME,
        MapCode::NAME,
        PlaceOrder::NAME,
        CancelOrder::NAME,
        ClaimReport::NAME,
        DefineControl::NAME,
        DecideControl::NAME,
        AcknowledgeCritical::NAME,
        EscalateCriticals::NAME,
        VitalsObserved::NAME,
        AlarmReported::NAME,
        BedChanged::NAME,
        ClaimVitals::NAME,
        DiscardVitals::NAME,
    ];

    /// Messages of one kind keep their order; kinds are independent, so each is applied set by set. Mappings go
    /// first because their lock must be the first (see [`code_maps`]).
    async fn apply(
        &self,
        tx: &mut Tx<'_>,
        envelopes: &[Envelope],
    ) -> Result<Vec<Verdict>, WorkerError> {
        let mut batch = Batch::new(envelopes);
        let maps = self.mappings.current();
        code_maps::map(tx, &mut batch, &self.limits).await?;
        let moved = encounters::apply(tx, &mut batch).await?;
        beds::apply(tx, &mut batch, &moved).await?;
        orders::apply(tx, &mut batch, &maps).await?;
        controls::command(tx, &mut batch).await?;
        criticals::command(tx, &mut batch).await?;
        let rules = Rules {
            maps: &maps,
            westgard: &self.westgard,
            limits: &self.limits,
        };
        reports::file(tx, &mut batch, &rules).await?;
        unmatched::claim(tx, &mut batch, &maps).await?;
        vitals::apply(tx, &mut batch).await?;
        alarms::apply(tx, &mut batch).await?;
        batch.audit(tx).await?;
        Ok(batch.verdicts())
    }
}

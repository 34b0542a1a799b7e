//! The clinical worker: the house (facilities to beds), encounters, stays, orders, specimens, results, reports, and what bedside devices say.
//!
//! It files what source systems report and keeps every version; it never decides which patient a number
//! belongs to (rows carry the key of the identifier as sent, workers/patient leads from it to a person), never
//! deletes, and never converts a unit that no mapping names. REST reads through [`queries`].

mod alarms;
mod audit;
mod batch;
mod beds;
mod body;
mod chart;
mod code_maps;
mod controls;
mod criticals;
mod decimal;
mod encounters;
mod orders;
mod packs;
pub mod queries;
mod reports;
mod rounds;
mod specimens;
mod stays;
pub mod terminology;
mod tubes;
mod unmatched;
mod verification;
mod vitals;

use std::sync::Arc;

use hub_core::mappings::MappingStore;
use hub_core::{Envelope, Tx, Verdict, Worker, WorkerError};
use schemas::care::{EncounterReported, OrderReported, ResultReceived};
use schemas::chart::{
    AddToNote, ChangeEntry, DraftNote, DraftPrescription, EndNoAllergies, FileDocument,
    RecordAllergy, RecordCondition, SignPrescription, StateNoAllergies,
};
use schemas::commands::{
    CancelOrder, ChangeOrder, ClaimReport, DiscardReport, MapCode, PlaceOrder,
};
use schemas::controls::{DecideControl, DefineControl};
use schemas::criticals::{AcknowledgeCritical, EscalateCriticals};
use schemas::devices::{AlarmReported, BedChanged, ClaimVitals, DiscardVitals, VitalsObserved};
use schemas::house::{DefineBed, DefineDepartment, DefineFacility, DefineWard, SetBedState};
use schemas::rounds::{
    AdvanceTask, AmendResult, CorrectObservation, EndOxygenTarget, OrderOxygenTarget,
    RecordObservations,
};
use schemas::sending::OrderSent;
use schemas::specimens::{AccessionSpecimen, ChangeSpecimen, MoveSpecimen};
use schemas::stays::{
    ChangeEncounter, MoveEncounter, OpenEncounter, RequestAdmission, ResolveDifference,
};
use schemas::verification::{CommentResult, DecideResults, RerunResult};
use schemas::{Body, ChannelId, TenantId};

use batch::Batch;
pub use controls::westgard::Westgard;
pub use criticals::limits::CriticalLimits;
pub use packs::{InvalidPack, RulePacks, RuleStore};
use reports::Rules;
pub use reports::report_key;
pub use rounds::news2::News2;
pub use stays::bed_days;
use verification::Channels;
pub use verification::pack::{Approval, Autoverify, Standing};

/// Owner of the Postgres schema `clinical`.
#[derive(Debug, Clone, Default)]
pub struct ClinicalWorker {
    /// What instruments call ordered tests: tells when all of an order is done.
    mappings: Arc<MappingStore>,
    /// The laboratory's rule packs.
    rules: Arc<RuleStore>,
    /// Channels whose results must be verified.
    to_verify: Arc<Channels>,
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

    /// With the rule packs of the site instead of those that come with the program, as they are in force.
    #[must_use]
    pub fn with_rules(mut self, rules: Arc<RuleStore>) -> Self {
        self.rules = rules;
        self
    }

    /// With these Westgard rules.
    #[must_use]
    pub fn with_westgard(self, pack: Westgard) -> Self {
        self.with_packs(|packs| packs.westgard = pack)
    }

    /// With these critical limits.
    #[must_use]
    pub fn with_critical_limits(self, pack: CriticalLimits) -> Self {
        self.with_packs(|packs| packs.critical = pack)
    }

    /// With this early warning score.
    #[must_use]
    pub fn with_news2(self, pack: News2) -> Self {
        self.with_packs(|packs| packs.news2 = pack)
    }

    /// With these rules of what the machine may verify.
    #[must_use]
    pub fn with_autoverify(self, pack: Autoverify) -> Self {
        self.with_packs(|packs| packs.autoverify = pack)
    }

    /// A store of its own, with one pack exchanged.
    fn with_packs(mut self, exchange: impl FnOnce(&mut RulePacks)) -> Self {
        let mut packs = RulePacks::clone(&self.rules.current());
        exchange(&mut packs);
        self.rules = Arc::new(RuleStore::new(packs));
        self
    }

    /// Results of these channels must be verified before anybody may act on them.
    #[must_use]
    pub fn with_verification(
        mut self,
        channels: impl IntoIterator<Item = (TenantId, ChannelId)>,
    ) -> Self {
        self.to_verify = Arc::new(Channels::new(channels));
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
        ChangeOrder::NAME,
        AccessionSpecimen::NAME,
        MoveSpecimen::NAME,
        ChangeSpecimen::NAME,
        ClaimReport::NAME,
        DiscardReport::NAME,
        DefineControl::NAME,
        DecideControl::NAME,
        AcknowledgeCritical::NAME,
        EscalateCriticals::NAME,
        VitalsObserved::NAME,
        AlarmReported::NAME,
        BedChanged::NAME,
        ClaimVitals::NAME,
        DiscardVitals::NAME,
        DecideResults::NAME,
        RerunResult::NAME,
        CommentResult::NAME,
        DefineFacility::NAME,
        DefineDepartment::NAME,
        DefineWard::NAME,
        DefineBed::NAME,
        SetBedState::NAME,
        OpenEncounter::NAME,
        RequestAdmission::NAME,
        MoveEncounter::NAME,
        ChangeEncounter::NAME,
        ResolveDifference::NAME,
        RecordAllergy::NAME,
        StateNoAllergies::NAME,
        EndNoAllergies::NAME,
        RecordCondition::NAME,
        DraftNote::NAME,
        AddToNote::NAME,
        DraftPrescription::NAME,
        SignPrescription::NAME,
        FileDocument::NAME,
        ChangeEntry::NAME,
        RecordObservations::NAME,
        CorrectObservation::NAME,
        OrderOxygenTarget::NAME,
        EndOxygenTarget::NAME,
        AdvanceTask::NAME,
        AmendResult::NAME,
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
        let packs = self.rules.current();
        let to_verify = self.to_verify.of(tx.tenant());
        code_maps::map(tx, &mut batch, &packs.critical).await?;
        let moved = encounters::apply(tx, &mut batch).await?;
        let conflicts = beds::apply(tx, &mut batch, &moved).await?;
        stays::differences::held(tx, &mut batch, &conflicts).await?;
        stays::command(tx, &mut batch).await?;
        orders::apply(tx, &mut batch, &maps).await?;
        // before what was measured: a tube that is rejected with a result of it in one batch was rejected first
        specimens::command(tx, &mut batch, &maps).await?;
        controls::command(tx, &mut batch).await?;
        criticals::command(tx, &mut batch).await?;
        let rules = Rules {
            maps: &maps,
            packs: &packs,
            to_verify,
        };
        reports::file(tx, &mut batch, &rules).await?;
        reports::by_hand::amend(tx, &mut batch, &packs).await?;
        unmatched::command(tx, &mut batch, &maps).await?;
        vitals::apply(tx, &mut batch).await?;
        alarms::apply(tx, &mut batch).await?;
        verification::judge(tx, &mut batch, to_verify, &packs).await?;
        verification::decide::command(tx, &mut batch, &packs, &maps).await?;
        chart::command(tx, &mut batch).await?;
        rounds::command(tx, &mut batch, &packs.news2).await?;
        batch.audit(tx).await?;
        Ok(batch.verdicts())
    }
}

//! Column vectors for the two inserts that carry the load, and the inserts.
//!
//! Arrays and `unnest` cost one round trip a batch. Columns that are null throughout cost Postgres next to nothing.

use std::borrow::Cow;

use hub_core::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::filing::Filing;
use super::incoming::said;
use super::key;
use super::row::{Row, joined};

/// Which version of which result a row is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) report_id: Uuid,
    pub(crate) item: i16,
    pub(crate) version: i16,
    /// Set for a version that is on file but was never current.
    pub(crate) superseded_at: Option<OffsetDateTime>,
    /// Absent: the event that filed the report.
    pub(crate) source_event: Option<Uuid>,
}

macro_rules! columns {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(crate) struct $name<'r> { $($field: Vec<$kind>,)* }

        impl $name<'_> {
            fn with_capacity(rows: usize) -> Self {
                Self { $($field: Vec::with_capacity(rows),)* }
            }
        }
    };
}

type Maybe<'r> = Option<&'r str>;
type MaybeMade<'r> = Option<Cow<'r, str>>;

columns! {
    /// Rows for `clinical.results`.
    ResultColumns {
        report_id: Uuid,
        observed_at: Option<OffsetDateTime>,
        superseded_at: Option<OffsetDateTime>,
        item: i16,
        version: i16,
        code: &'r str,
        code_system: Maybe<'r>,
        code_text: Maybe<'r>,
        alternate: Maybe<'r>,
        sub_id: Maybe<'r>,
        value_type: Maybe<'r>,
        value_kind: &'r str,
        comparator: Maybe<'r>,
        value_text: MaybeMade<'r>,
        value_json: MaybeMade<'r>,
        raw_value: Maybe<'r>,
        unit: Maybe<'r>,
        loinc: Maybe<'r>,
        loinc_display: Maybe<'r>,
        ucum: Maybe<'r>,
        ucum_value: Option<String>,
        range_text: Maybe<'r>,
        range_low: Maybe<'r>,
        range_high: Maybe<'r>,
        flags: MaybeMade<'r>,
        status: Maybe<'r>,
        device: Maybe<'r>,
        notes: MaybeMade<'r>,
        held: Maybe<'r>,
        source_event: Option<Uuid>,
    }
}

impl<'r> ResultColumns<'r> {
    pub(crate) fn for_rows(rows: usize) -> Self {
        Self::with_capacity(rows)
    }

    pub(crate) fn push(&mut self, place: Place, row: Row<'r>) {
        self.report_id.push(place.report_id);
        self.observed_at.push(row.observed_at);
        self.superseded_at.push(place.superseded_at);
        self.item.push(place.item);
        self.version.push(place.version);
        self.code.push(row.code);
        self.code_system.push(row.code_system);
        self.code_text.push(row.code_text);
        self.alternate.push(row.alternate);
        self.sub_id.push(row.sub_id);
        self.value_type.push(row.value_type);
        self.value_kind.push(row.value_kind);
        self.comparator.push(row.comparator);
        self.value_text.push(row.value_text);
        self.value_json.push(row.value_json);
        self.raw_value.push(row.raw_value);
        self.unit.push(row.unit);
        self.loinc.push(row.loinc);
        self.loinc_display.push(row.loinc_display);
        self.ucum.push(row.ucum);
        self.ucum_value.push(row.ucum_value);
        self.range_text.push(row.range_text);
        self.range_low.push(row.range_low);
        self.range_high.push(row.range_high);
        self.flags.push(row.flags);
        self.status.push(row.status);
        self.device.push(row.device);
        self.notes.push(row.notes);
        self.held
            .push(row.held.map(schemas::care::HoldReason::as_str));
        self.source_event.push(place.source_event);
    }

    /// Writes them all in one statement.
    pub(crate) async fn insert(self, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
        if self.report_id.is_empty() {
            return Ok(());
        }
        let tenant = tx.tenant().clone();
        sqlx::query(
            "insert into clinical.results (tenant_id, report_id, observed_at, superseded_at, item, version, \
             code, code_system, code_text, alternate, sub_id, value_type, value_kind, comparator, value_text, \
             value_json, raw_value, unit, loinc, loinc_display, ucum, ucum_value, range_text, range_low, \
             range_high, flags, status, device, notes, held, source_event) \
             select $1, unnest($2::uuid[]), unnest($3::timestamptz[]), unnest($4::timestamptz[]), \
             unnest($5::smallint[]), unnest($6::smallint[]), unnest($7::text[]), unnest($8::text[]), \
             unnest($9::text[]), unnest($10::text[]::jsonb[]), unnest($11::text[]), unnest($12::text[]), \
             unnest($13::text[]), unnest($14::text[]), unnest($15::text[]), unnest($16::text[]::jsonb[]), \
             unnest($17::text[]), unnest($18::text[]), unnest($19::text[]), unnest($20::text[]), \
             unnest($21::text[]), unnest($22::text[]), unnest($23::text[]), unnest($24::text[]), \
             unnest($25::text[]), unnest($26::text[]), unnest($27::text[]), unnest($28::text[]), \
             unnest($29::text[]), unnest($30::text[]), unnest($31::uuid[])",
        )
        .bind(tenant.as_str())
        .bind(self.report_id)
        .bind(self.observed_at)
        .bind(self.superseded_at)
        .bind(self.item)
        .bind(self.version)
        .bind(self.code)
        .bind(self.code_system)
        .bind(self.code_text)
        .bind(self.alternate)
        .bind(self.sub_id)
        .bind(self.value_type)
        .bind(self.value_kind)
        .bind(self.comparator)
        .bind(self.value_text)
        .bind(self.value_json)
        .bind(self.raw_value)
        .bind(self.unit)
        .bind(self.loinc)
        .bind(self.loinc_display)
        .bind(self.ucum)
        .bind(self.ucum_value)
        .bind(self.range_text)
        .bind(self.range_low)
        .bind(self.range_high)
        .bind(self.flags)
        .bind(self.status)
        .bind(self.device)
        .bind(self.notes)
        .bind(self.held)
        .bind(self.source_event)
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}

columns! {
    /// Rows for `clinical.reports`.
    ReportColumns {
        id: Uuid,
        report_key: Uuid,
        subject_key: Option<Uuid>,
        source_event: Uuid,
        received_at: OffsetDateTime,
        observed_at: Option<OffsetDateTime>,
        issued_at: Option<OffsetDateTime>,
        fact_at: OffsetDateTime,
        channel: &'r str,
        visit_number: Maybe<'r>,
        placer_number: Maybe<'r>,
        filler_number: Maybe<'r>,
        specimen_number: Maybe<'r>,
        code: &'r str,
        code_system: Maybe<'r>,
        code_text: Maybe<'r>,
        status: Maybe<'r>,
        notes: MaybeMade<'r>,
    }
}

impl<'r> ReportColumns<'r> {
    pub(crate) fn for_rows(rows: usize) -> Self {
        Self::with_capacity(rows)
    }

    pub(crate) fn push(&mut self, filing: &'r Filing<'_>) {
        let report = &filing.report;
        self.id.push(filing.new_id);
        self.report_key.push(filing.identity.key);
        self.subject_key.push(filing.subject);
        self.source_event.push(filing.envelope.id);
        self.received_at.push(filing.envelope.recorded_at);
        self.observed_at.push(filing.observed_at);
        self.issued_at.push(filing.issued_at);
        self.fact_at.push(filing.envelope.occurred_at);
        self.channel.push(report.channel.as_str());
        self.visit_number.push(said(report.visit_number.as_ref()));
        self.placer_number.push(said(report.placer_number.as_ref()));
        self.filler_number.push(said(report.filler_number.as_ref()));
        self.specimen_number.push(key::specimen_number(report));
        self.code.push(report.code.code.as_str());
        self.code_system.push(said(report.code.system.as_ref()));
        self.code_text.push(said(report.code.text.as_ref()));
        self.status.push(said(report.status.as_ref()));
        self.notes.push(joined(&report.notes, "\n"));
    }

    /// Writes those whose key is not on file yet, in one statement that is also the look-up: the number of rows
    /// written tells whether all were new.
    pub(crate) async fn insert(self, tx: &mut Tx<'_>) -> Result<u64, sqlx::Error> {
        if self.id.is_empty() {
            return Ok(0);
        }
        let tenant = tx.tenant().clone();
        let done = sqlx::query(
            "insert into clinical.reports (tenant_id, id, report_key, subject_key, source_event, received_at, \
             observed_at, issued_at, fact_at, channel, visit_number, placer_number, filler_number, \
             specimen_number, code, code_system, code_text, status, notes) \
             select $1, unnest($2::uuid[]), unnest($3::uuid[]), unnest($4::uuid[]), unnest($5::uuid[]), \
             unnest($6::timestamptz[]), unnest($7::timestamptz[]), unnest($8::timestamptz[]), \
             unnest($9::timestamptz[]), unnest($10::text[]), unnest($11::text[]), unnest($12::text[]), \
             unnest($13::text[]), unnest($14::text[]), unnest($15::text[]), unnest($16::text[]), \
             unnest($17::text[]), unnest($18::text[]), unnest($19::text[]) \
             on conflict (report_key) do nothing",
        )
        .bind(tenant.as_str())
        .bind(self.id)
        .bind(self.report_key)
        .bind(self.subject_key)
        .bind(self.source_event)
        .bind(self.received_at)
        .bind(self.observed_at)
        .bind(self.issued_at)
        .bind(self.fact_at)
        .bind(self.channel)
        .bind(self.visit_number)
        .bind(self.placer_number)
        .bind(self.filler_number)
        .bind(self.specimen_number)
        .bind(self.code)
        .bind(self.code_system)
        .bind(self.code_text)
        .bind(self.status)
        .bind(self.notes)
        .execute(tx.conn())
        .await?;
        Ok(done.rows_affected())
    }
}

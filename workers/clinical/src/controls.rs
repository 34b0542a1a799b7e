//! Control material: told from patients before anything is matched, kept apart, judged by rules.
//!
//! A report whose specimen has the role Q, E (controls), C or V (calibration) never reaches the tables of patients. Each of its
//! numbers is judged by the target of its material, against what the same level measured before and the other levels of the
//! run; what can't be judged says so.

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::controls::{ControlRecorded, DecideControl, DefineControl};
use schemas::ids::care_key;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::batch::Batch;
use crate::reports::{Filing, joined, said};
use crate::{audit, body, decimal};

mod series;
pub(crate) mod westgard;

use series::{Series, Target};
use westgard::Westgard;

/// Records the reports of controls of a batch.
pub(crate) async fn record(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    controls: &[Filing<'_>],
    rules: &Westgard,
) -> Result<(), sqlx::Error> {
    for filing in controls {
        record_one(tx, batch, filing, rules).await?;
    }
    Ok(())
}

/// The same run sent again has the same key; with other values it is another run.
fn run_key(filing: &Filing<'_>) -> Uuid {
    let mut parts = vec![filing.identity.key.to_string()];
    for result in &filing.report.results {
        parts.push(result.code.code.as_str().to_owned());
        parts.push(
            said(result.value.first.as_ref())
                .unwrap_or_default()
                .to_owned(),
        );
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    care_key(&filing.envelope.tenant, "qc-run", &parts)
}

async fn record_one(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    filing: &Filing<'_>,
    rules: &Westgard,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    let channel = filing.report.channel.as_str();
    let material = filing.specimen_number();
    let observed_at = filing
        .observed_at
        .or_else(|| filing.item_times.iter().flatten().next().copied())
        .unwrap_or(filing.envelope.occurred_at);
    let written = sqlx::query(
        "insert into clinical.qc_runs (tenant_id, id, run_key, channel, material, observed_at, source_event) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (run_key) do nothing",
    )
    .bind(tenant.as_str())
    .bind(filing.new_id)
    .bind(run_key(filing))
    .bind(channel)
    .bind(material)
    .bind(observed_at)
    .bind(filing.envelope.id)
    .execute(tx.conn())
    .await?;
    if written.rows_affected() == 0 {
        batch.unchanged(filing.slot);
        return Ok(());
    }
    let mut recorded = ControlRecorded {
        run_id: filing.new_id,
        channel: filing.report.channel.clone(),
        results: 0,
        warnings: 0,
        rejected: 0,
        not_checked: 0,
    };
    for (index, result) in filing.report.results.iter().enumerate() {
        let at = filing.item_times[index].unwrap_or(observed_at);
        let code = result.code.code.as_str();
        let target = match material {
            Some(material) => series::target(tx, channel, material, code).await?,
            None => None,
        };
        let judged = judge(
            tx,
            rules,
            channel,
            code,
            at,
            result_number(result),
            &target,
            said(result.unit.as_ref()),
        )
        .await?;
        recorded.results += 1;
        match judged.verdict {
            "warning" => recorded.warnings += 1,
            "rejected" => recorded.rejected += 1,
            "not_checked" => recorded.not_checked += 1,
            _ => {}
        }
        let state = if judged.verdict == "in_control" {
            "none"
        } else {
            "open"
        };
        sqlx::query(
            "insert into clinical.qc_results (tenant_id, run_id, channel, material, code, code_text, loinc, value_text, \
             unit, flags, observed_at, lot, level, mean_text, sd_text, z, verdict, rules, judged_by, state) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
        )
        .bind(tenant.as_str())
        .bind(filing.new_id)
        .bind(channel)
        .bind(material)
        .bind(code)
        .bind(said(result.code.text.as_ref()))
        .bind(result.mapped.as_ref().map(|mapped| mapped.loinc.as_str()))
        .bind(said(result.raw_value.as_ref()).or(said(result.value.first.as_ref())))
        .bind(said(result.unit.as_ref()))
        .bind(joined(&result.flags, "~"))
        .bind(at)
        .bind(target.as_ref().map(|target| target.lot.as_str()))
        .bind(target.as_ref().map(|target| target.level.as_str()))
        .bind(target.as_ref().map(|target| target.mean_text.as_str()))
        .bind(target.as_ref().map(|target| target.sd_text.as_str()))
        .bind(judged.z)
        .bind(judged.verdict)
        .bind(&judged.rules)
        .bind(rules.version())
        .bind(state)
        .execute(tx.conn())
        .await?;
    }
    batch.say(filing.slot, &recorded);
    batch.changes.controls += 1;
    Ok(())
}

/// The number of a result; one with a comparator is no measurement of the control.
fn result_number(result: &crate::reports::Observation<'_>) -> Option<f64> {
    if result.value.kind.as_str() != "quantity" || result.value.comparator.is_some() {
        return None;
    }
    said(result.value.first.as_ref())?
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

struct Verdict {
    z: Option<f64>,
    verdict: &'static str,
    rules: Vec<String>,
}

impl Verdict {
    fn not_checked(why: &str) -> Self {
        Self {
            z: None,
            verdict: "not_checked",
            rules: vec![why.to_owned()],
        }
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "one result and what it is judged by"
)]
async fn judge(
    tx: &mut Tx<'_>,
    rules: &Westgard,
    channel: &str,
    code: &str,
    at: OffsetDateTime,
    number: Option<f64>,
    target: &Option<Target>,
    unit: Option<&str>,
) -> Result<Verdict, sqlx::Error> {
    let Some(target) = target else {
        return Ok(Verdict::not_checked("no_target"));
    };
    if target
        .unit
        .as_deref()
        .is_some_and(|expected| unit != Some(expected))
    {
        return Ok(Verdict::not_checked("other_unit"));
    }
    let Some(number) = number else {
        return Ok(Verdict::not_checked("no_number"));
    };
    let z = (number - target.mean) / target.sd;
    let Series { before, others } =
        series::around(tx, channel, code, target, at, rules.run_minutes()).await?;
    let judged = rules.judge(z, &before, &others);
    Ok(Verdict {
        z: Some(z),
        verdict: judged.verdict(),
        rules: judged.broken,
    })
}

/// Carries out the commands of a batch: targets first, decisions after.
pub(crate) async fn command(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in batch.named(DefineControl::NAME) {
        match body::decode::<DefineControl>(&batch.envelopes[slot]).and_then(checked) {
            Ok(command) => define(tx, batch, slot, &command).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    for slot in batch.named(DecideControl::NAME) {
        match body::decode::<DecideControl>(&batch.envelopes[slot]) {
            Ok(command) => decide(tx, batch, slot, &command).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    Ok(())
}

fn checked(command: DefineControl) -> Result<DefineControl, Refusal> {
    let refuse = |detail: &str| Err(Refusal::new("clinical.control_target", detail));
    let positive = command.sd.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if !decimal::is_decimal(&command.mean) {
        refuse("the mean is a decimal number such as `5.2`")
    } else if !decimal::is_decimal(&command.sd) || command.sd.starts_with('-') || !positive {
        refuse("the standard deviation is a decimal number above zero")
    } else if [
        &command.material,
        &command.lot,
        &command.level,
        &command.code,
    ]
    .iter()
    .any(|text| text.trim().is_empty())
    {
        refuse("a target names material, lot, level and code")
    } else {
        Ok(command)
    }
}

async fn define(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &DefineControl,
) -> Result<(), sqlx::Error> {
    series::define(tx, command).await?;
    batch.answer(
        slot,
        serde_json::json!({ "channel": command.channel, "material": command.material, "code": command.code }),
    );
    let detail = serde_json::json!({
        "lot": command.lot, "level": command.level, "mean": command.mean, "sd": command.sd, "unit": command.unit,
    });
    audit::entry(
        tx,
        &command.actor,
        DefineControl::NAME,
        &format!(
            "control:{}/{}/{}",
            command.channel, command.material, command.code
        ),
        &[batch.envelopes[slot].id],
        Some(detail),
    )
    .await
}

async fn decide(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &DecideControl,
) -> Result<(), sqlx::Error> {
    let id = command.control_id;
    let done = sqlx::query(
        "update clinical.qc_results set state = $2, decided_by = $3, decided_at = now(), comment = $4 \
         where id = $1 and state = 'open'",
    )
    .bind(id)
    .bind(command.decision.as_str())
    .bind(&command.actor)
    .bind(&command.comment)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        let known: bool =
            sqlx::query_scalar("select exists (select from clinical.qc_results where id = $1)")
                .bind(id)
                .fetch_one(tx.conn())
                .await?;
        let refusal = if known {
            Refusal::new(
                "clinical.control_not_open",
                "nothing is to be decided of this result",
            )
        } else {
            Refusal::new("clinical.control_unknown", "no control result has this id")
        };
        batch.refuse(slot, refusal);
        return Ok(());
    }
    batch.answer(
        slot,
        serde_json::json!({ "id": id, "state": command.decision.as_str() }),
    );
    audit::entry(
        tx,
        &command.actor,
        DecideControl::NAME,
        &format!("control:{id}"),
        &[batch.envelopes[slot].id],
        Some(serde_json::json!({ "decision": command.decision, "comment": command.comment })),
    )
    .await
}

//! A test that is to be done once more, on a tube that had it: an order of its own, for the one instrument.

use std::collections::BTreeMap;

use hub_core::Tx;
use hub_core::mappings::Mappings;
use schemas::ChannelId;
use schemas::care::{OrderChanged, Specimen};
use schemas::ids::care_key;
use uuid::Uuid;

use super::stored::{self, Order};
use super::transition::OrderState;
use crate::batch::Batch;
use crate::specimens::{self, SpecimenRow, rejected};
use crate::tubes::{self, Carried};

/// LOINC, as orders name it.
const LOINC: &str = "LN";

/// What is to be done again.
pub(crate) struct Again<'a> {
    pub(crate) subject: Uuid,
    /// On the tube.
    pub(crate) number: &'a str,
    pub(crate) channel: &'a ChannelId,
    /// As the instrument sent it.
    pub(crate) code: &'a str,
    pub(crate) loinc: Option<&'a str>,
    /// What asks for it: makes the order's number, so that a repeat makes none anew.
    pub(crate) asked_by: String,
}

#[derive(sqlx::FromRow)]
struct Had {
    code: String,
    code_system: Option<String>,
    code_text: Option<String>,
}

/// Places the order; `None`: no ordered test leads to what the instrument calls it, or the tube carries another patient's orders or
/// was rejected.
pub(crate) async fn again(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    maps: &Mappings,
    wanted: &Again<'_>,
) -> Result<Option<Uuid>, sqlx::Error> {
    let Some(test) = test(tx, maps, wanted).await? else {
        return Ok(None);
    };
    let tube = (wanted.number, wanted.subject);
    if !rejected::among(tx, &[tube]).await?.is_empty() {
        return Ok(None);
    }
    let holders = BTreeMap::from([tube]);
    if !tubes::claim(tx, &holders).await?.contains(wanted.number) {
        return Ok(None);
    }
    let envelope = &batch.envelopes[slot];
    let subject = wanted.subject.to_string();
    let own = care_key(&envelope.tenant, "rerun", &[&wanted.asked_by]);
    let placer = super::reported::own_number(own);
    let order = Order {
        id: Uuid::now_v7(),
        order_key: care_key(&envelope.tenant, "order", &[&subject, &placer, &test.code]),
        subject_key: Some(wanted.subject),
        visit_number: None,
        placer_number: Some(placer),
        filler_number: None,
        group_number: None,
        code: test.code,
        code_system: test.code_system,
        code_text: test.code_text,
        status: OrderState::Active.as_str().to_owned(),
        priority: None,
        ordered_by: None,
        ordered_at: Some(envelope.occurred_at),
        notes: Some("rerun".to_owned()),
        targets: Some(vec![wanted.channel.to_string()]),
        held: None,
        fact_at: envelope.occurred_at,
        version: 1,
        source_event: envelope.id,
    };
    stored::save(tx, &[&order]).await?;
    let tube = Specimen {
        number: Some(wanted.number.to_owned()),
        ..Specimen::default()
    };
    if let Some(row) = SpecimenRow::of(envelope, &tube, Some(wanted.subject)) {
        let key = row.key;
        specimens::keep(tx, vec![row]).await?;
        specimens::link(tx, &[(order.id, key)]).await?;
    }
    let carried = Carried {
        subject: wanted.subject,
        state: "open",
    };
    tubes::carry(tx, &BTreeMap::from([((order.id, wanted.number), carried)])).await?;
    batch.say(
        slot,
        &OrderChanged {
            order_id: order.id,
            status: order.status.clone(),
        },
    );
    batch.changes.orders += 1;
    Ok(Some(order.id))
}

/// The test alone where its LOINC code leads to just what the instrument calls it; else the smallest that the tube had.
async fn test(
    tx: &mut Tx<'_>,
    maps: &Mappings,
    wanted: &Again<'_>,
) -> Result<Option<Had>, sqlx::Error> {
    if let Some(loinc) = wanted.loinc
        && maps.instrument_codes(wanted.channel, LOINC, loinc) == [wanted.code]
    {
        return Ok(Some(Had {
            code: loinc.to_owned(),
            code_system: Some(LOINC.to_owned()),
            code_text: None,
        }));
    }
    let had: Vec<Had> = sqlx::query_as(
        "select distinct on (orders.code, orders.code_system) orders.code, orders.code_system, orders.code_text \
         from clinical.order_tubes as carried join clinical.orders as orders on orders.id = carried.order_id \
         where carried.number = $1 and carried.subject_key = $2 and carried.state in ('open', 'done') \
         order by orders.code, orders.code_system, orders.id",
    )
    .bind(wanted.number)
    .bind(wanted.subject)
    .fetch_all(tx.conn())
    .await?;
    Ok(had
        .into_iter()
        .filter_map(|had| {
            let system = had.code_system.as_deref().unwrap_or_default();
            let names = maps.instrument_codes(wanted.channel, system, &had.code);
            let includes = names.iter().any(|name| name == wanted.code);
            includes.then_some((names.len(), had))
        })
        .min_by_key(|(tests, _)| *tests)
        .map(|(_, had)| had))
}

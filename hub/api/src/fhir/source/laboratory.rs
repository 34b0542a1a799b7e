//! Orders, specimens, reports, and observations of both kinds.

mod observations;
mod reports;

use std::collections::HashMap;

use hub_fhir::{Meta, Order, Specimen};
use uuid::Uuid;
use worker_clinical::queries::{self, KeptSpecimen, OrderFilter, OrderRow};

use super::links::{self, Carries, Links};
use super::{Found, Ground, Hints, Made, Scope, Stretch};
use crate::page::Cursor;
use crate::problem::Problem;
use crate::reads::care::patients_of;
use crate::views::of_care::{canonical, code, parted};

pub(super) use observations::{one as observation, walk as observations};
pub(super) use reports::{one as report, walk as reports};

const ORDERS: &str = "orders:read";

/// Newest first.
pub(super) async fn orders(
    ground: &mut Ground<'_, '_>,
    scope: &Scope,
    hints: &Hints,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let page = links::page(after, limit)?;
    let filter = OrderFilter {
        code: hints.code.clone(),
        ..OrderFilter::default()
    };
    let rows = match scope {
        Scope::People(_) => {
            let subjects: Vec<Uuid> = scope.keys().into_keys().collect();
            queries::orders_for_subjects(ground.tx.conn(), &subjects, &filter, page).await?
        }
        Scope::Numbers(numbers) => {
            let mut rows = Vec::new();
            for number in numbers {
                for id in queries::orders_by_number(ground.tx.conn(), number, page).await? {
                    rows.extend(queries::order(ground.tx.conn(), id).await?);
                }
            }
            rows
        }
        Scope::Tubes(_) | Scope::Whole => Vec::new(),
    };
    let full = rows.len() >= usize::from(limit) && matches!(scope, Scope::People(_));
    Ok(Stretch::of(of_orders(ground, rows).await?, full))
}

pub(super) async fn order(ground: &mut Ground<'_, '_>, id: &str) -> Result<Option<Found>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(None);
    };
    let row = queries::order(ground.tx.conn(), id).await?;
    Ok(of_orders(ground, row.into_iter().collect()).await?.pop())
}

async fn of_orders(
    ground: &mut Ground<'_, '_>,
    rows: Vec<OrderRow>,
) -> Result<Vec<Found>, Problem> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let links = Links::of(ground.tx, rows.iter().map(carried_by_order)).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut tubes: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for (order, tube) in queries::specimens_of_orders(ground.tx.conn(), &ids).await? {
        tubes.entry(order).or_default().push(tube);
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            let patient = links.patient(row.subject_key);
            let encounter = links.encounter(&carried_by_order(&row));
            let place = row.cursor().to_string();
            let held = row.held.as_ref().map(|_| "held");
            let order = Order {
                id: row.id,
                meta: Meta::new(row.version, row.updated_at).tagged(held),
                patient,
                encounter,
                placer_number: row.placer_number,
                filler_number: row.filler_number,
                group_number: row.group_number,
                code: code(row.code, row.code_text, row.code_system),
                status: row.status,
                priority: row.priority,
                ordered_by: canonical(row.ordered_by),
                ordered_at: row.ordered_at,
                notes: parted(row.notes.as_deref(), '\n'),
                specimens: tubes.remove(&row.id).unwrap_or_default(),
            };
            Found {
                resource: order.resource(),
                permission: ORDERS,
                patient,
                of_chart: true,
                clinic: None,
                made: Some(Made {
                    source: row.source_event,
                    channel: None,
                    created: row.version == 1,
                    at: row.updated_at,
                }),
                place,
            }
        })
        .collect())
}

fn carried_by_order(row: &OrderRow) -> Carries<'_> {
    Carries {
        subject: row.subject_key,
        visit: row.visit_number.as_deref(),
        placer: None,
        tube: None,
        code: None,
    }
}

/// Newest first.
pub(super) async fn specimens(
    ground: &mut Ground<'_, '_>,
    scope: &Scope,
    after: Option<&str>,
    limit: u16,
) -> Result<Stretch, Problem> {
    let after: Option<Uuid> = after
        .map(|text| text.parse().map_err(|_| Cursor::refused()))
        .transpose()?;
    let rows = match scope {
        Scope::People(_) => {
            let subjects: Vec<Uuid> = scope.keys().into_keys().collect();
            let limit = i64::from(limit);
            queries::specimens_for_subjects(ground.tx.conn(), &subjects, after, limit).await?
        }
        Scope::Numbers(numbers) | Scope::Tubes(numbers) => {
            queries::specimens_numbered(ground.tx.conn(), numbers).await?
        }
        Scope::Whole => Vec::new(),
    };
    let full = rows.len() >= usize::from(limit) && matches!(scope, Scope::People(_));
    Ok(Stretch::of(of_specimens(ground, rows).await?, full))
}

pub(super) async fn specimen(
    ground: &mut Ground<'_, '_>,
    id: &str,
) -> Result<Option<Found>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(None);
    };
    let rows = queries::specimens(ground.tx.conn(), &[id]).await?;
    Ok(of_specimens(ground, rows).await?.pop())
}

async fn of_specimens(
    ground: &mut Ground<'_, '_>,
    rows: Vec<KeptSpecimen>,
) -> Result<Vec<Found>, Problem> {
    let keys = patients_of(ground.tx, rows.iter().map(|row| row.specimen.subject_key)).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let KeptSpecimen {
                specimen: tube,
                orders,
                source_event,
                created_at,
                updated_at,
            } = row;
            let patient = links::patient_of(&keys, tube.subject_key);
            // of several sources, not only of who takes a step: its time tells them apart
            let version = updated_at.unix_timestamp_nanos() / 1_000;
            let rejection = tube.reject_reason.as_deref().map(|reason| {
                let reason = reason.replace('_', " ");
                match &tube.reject_text {
                    Some(text) => format!("rejected: {reason} ({text})"),
                    None => format!("rejected: {reason}"),
                }
            });
            let specimen = Specimen {
                id: tube.id,
                // of what is not in the laboratory yet nobody has said
                status: match tube.state.as_str() {
                    "received" => Some("available"),
                    "rejected" => Some("unsatisfactory"),
                    _ => None,
                },
                rejection,
                meta: Meta::new(format_args!("{version:x}"), updated_at),
                patient,
                number: tube.number,
                filler_number: tube.filler_number,
                kind: canonical(tube.kind),
                body_site: canonical(tube.body_site),
                container: canonical(tube.container),
                condition: canonical(tube.condition),
                collected_at: tube.collected_at,
                received_at: tube.received_at,
                orders,
            };
            Found {
                resource: specimen.resource(),
                permission: ORDERS,
                patient,
                of_chart: true,
                clinic: None,
                made: Some(Made {
                    source: source_event,
                    channel: None,
                    created: created_at == updated_at,
                    at: updated_at,
                }),
                place: tube.id.to_string(),
            }
        })
        .collect())
}

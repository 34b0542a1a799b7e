//! Messages: search, detail, body, lineage.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hub_core::Position;
use schemas::commands::RecordAccess;
use serde::Deserialize;

use uuid::Uuid;
use worker_integration::queries::MessageSearch;

use crate::auth::permission::{Can, MessagesBody, MessagesRead};
use crate::body_view;
use crate::command::Sender;
use crate::extract::{Params, Segment};
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::messages as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::messages::{Lineage, Message, MessageBody, MessageDetail};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(search))
        .routes(routes!(read))
        .routes(routes!(body))
        .routes(routes!(lineage))
}

/// Stream of the bytes as received.
const RAW: &str = "RAW";
/// Header with the reason of an access: a URL may end in a log, and a reason may name a patient.
const REASON_HEADER: &str = "hub-access-reason";
/// Longest reason.
const REASON_BYTES: usize = 500;

fn no_message() -> Problem {
    Problem::unknown("messages.unknown", "no message has this id")
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// PID-3.1 as sent, of any patient in the message.
    patient_number: Option<String>,
    /// Specimen or accession number, of any specimen in the message.
    accession: Option<String>,
    /// Placer or filler number.
    order_number: Option<String>,
    /// MSH-10.
    control_id: Option<String>,
    visit_number: Option<String>,
    bill_number: Option<String>,
    channel: Option<String>,
    /// As in MSH-9: `ORU^R01`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// `translated`, `not_translated`, `query`, `answer`, `dead` or `duplicate`.
    outcome: Option<String>,
    /// Received at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Received before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// Any of the numbers above, or the message's id.
    q: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search messages
///
/// Everything that ever arrived, unreadable bytes included. All conditions must hold.
#[utoipa::path(get, path = "/messages", tag = "messages", params(Search), security(("bearer" = ["messages:read"])),
    responses((status = 200, description = "newest first", body = Page<Message>)))]
async fn search(
    can: Can<MessagesRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Message>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let wanted = MessageSearch {
        patient_number: search.patient_number,
        accession: search.accession,
        order_number: search.order_number,
        control_id: search.control_id,
        visit_number: search.visit_number,
        bill_number: search.bill_number,
        channel: search.channel,
        message_type: search.kind,
        outcome: search.outcome,
        received_from: search.from.map(|moment| moment.0),
        received_to: search.to.map(|moment| moment.0),
        ..MessageSearch::default()
    };
    let cursor = search.cursor.as_ref();
    let page = match &search.q {
        None => reads::search(&mut tx, wanted, cursor, search.limit).await?,
        Some(text) => reads::search_any(&mut tx, wanted, text, cursor, search.limit).await?,
    };
    Ok(Json(page))
}

/// Read what is known of a message
///
/// Its keys, events, notes and the fields that nothing reads; not its bytes.
#[utoipa::path(get, path = "/messages/{id}", tag = "messages", params(("id" = Uuid, Path, description = "the message")),
    security(("bearer" = ["messages:read"])),
    responses(
        (status = 200, description = "the message", body = MessageDetail),
        (status = 404, description = "no message has this id (`messages.unknown`)")))]
async fn read(
    can: Can<MessagesRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<MessageDetail>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let message = reads::one(&mut tx, id).await?.ok_or_else(no_message)?;
    Ok(Json(message))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BodyQuery {
    /// `bytes` (as if absent): as received. `text`: decoded. `json`: decoded, by lines, with a hex dump.
    #[serde(default, rename = "as")]
    #[param(rename = "as", inline, value_type = Option<BodyForm>)]
    form: BodyForm,
}

#[derive(Debug, Default, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum BodyForm {
    #[default]
    Bytes,
    Text,
    Json,
}

/// Read a message's body
///
/// The bytes exactly as received. The access is in the audit trail before a byte leaves; a reason can be given in the
/// header `hub-access-reason`.
#[utoipa::path(get, path = "/messages/{id}/body", tag = "messages",
    params(("id" = Uuid, Path, description = "the message"), BodyQuery,
           ("hub-access-reason" = Option<String>, Header, description = "why it is read; kept in the audit trail")),
    security(("bearer" = ["messages:body"])),
    responses(
        (status = 200, description = "the body in the form that was asked for",
            content((MessageBody = "application/json"), (String = "text/plain", example = json!("MSH|^~\\&|LAB\rPID|||12345\r")), (String = "application/octet-stream", example = json!("MSH|^~\\&|LAB\rPID|||12345\r")))),
        (status = 404, description = "no message has this id (`messages.unknown`)"),
        (status = 410, description = "the bytes are no longer kept (`messages.gone`)"),
        (status = 503, description = "the access could not be recorded, so nothing is shown")))]
async fn body(
    can: Can<MessagesBody>,
    State(state): State<ApiState>,
    trace: Trace,
    headers: HeaderMap,
    Segment(id): Segment<Uuid>,
    Params(BodyQuery { form }): Params<BodyQuery>,
) -> Result<Response, Problem> {
    let reason = access_reason(&headers)?;
    let message = {
        let mut tx = state.read(&can.who.tenant).await?;
        reads::one(&mut tx, id).await?.ok_or_else(no_message)?
    };
    let position = position_of(message.stream_seq, message.record_index)?;
    // first what can fail harmlessly, then the trace of it, then the bytes
    let kept = state
        .backbone
        .kept_body(&can.who.tenant, RAW, position)
        .await?
        .ok_or(crate::BackboneError::Gone)?;
    let access = RecordAccess {
        action: "message.body_read".to_owned(),
        object: format!("message {id}"),
        actor: can.who.username.clone(),
        reason,
    };
    // durable is enough: when the worker is down the row follows
    Sender::new(&state, &can.who, &trace)
        .record(&access)
        .await?;
    Ok(match form {
        BodyForm::Json => Json(body_view::of(id, &kept)).into_response(),
        BodyForm::Text => (
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")],
            body_view::decode(&kept.bytes).0.into_owned(),
        )
            .into_response(),
        BodyForm::Bytes => (
            [
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
                (
                    header::CONTENT_DISPOSITION,
                    format!("attachment; filename=\"{id}.bin\""),
                ),
            ],
            kept.bytes,
        )
            .into_response(),
    })
}

fn access_reason(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(REASON_HEADER) else {
        return Ok(None);
    };
    let reason = std::str::from_utf8(value.as_bytes())
        .map_err(|_| Problem::invalid(REASON_HEADER, "is not text"))?
        .trim();
    if reason.len() > REASON_BYTES {
        return Err(Problem::invalid(
            REASON_HEADER,
            format!("has more than {REASON_BYTES} bytes"),
        ));
    }
    Ok((!reason.is_empty()).then(|| reason.to_owned()))
}

/// The place in a stream, from the ledger's columns.
pub(super) fn position_of(stream_seq: i64, record_index: i16) -> Result<Position, Problem> {
    match (u64::try_from(stream_seq), u16::try_from(record_index)) {
        (Ok(seq), Ok(index)) => Ok(Position { seq, index }),
        _ => {
            tracing::error!(stream_seq, record_index, "a place in a stream is negative");
            Err(Problem::internal())
        }
    }
}

/// Follow a message
///
/// Raw → events, and who applied them → patients, encounters, orders and reports that they made or changed last →
/// what was sent on because of them.
#[utoipa::path(get, path = "/messages/{id}/lineage", tag = "messages", params(("id" = Uuid, Path, description = "the message")),
    security(("bearer" = ["messages:read"])),
    responses(
        (status = 200, description = "the way of the message", body = Lineage),
        (status = 404, description = "no message has this id (`messages.unknown`)")))]
async fn lineage(
    can: Can<MessagesRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Lineage>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let lineage = reads::lineage(&mut tx, id).await?.ok_or_else(no_message)?;
    Ok(Json(lineage))
}

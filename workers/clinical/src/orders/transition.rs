//! The state of an order (specs/hl7-fhir.md §3.2 and table 0038 in §3.4).

use schemas::care::OrderControl;

/// State of an order (FHIR request-status, with the request to cancel that HL7 knows as CA).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderState {
    Active,
    OnHold,
    CancelRequested,
    Revoked,
    Completed,
    EnteredInError,
    Unknown,
}

use OrderState::{Active, CancelRequested, Completed, EnteredInError, OnHold, Revoked, Unknown};

impl OrderState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Active => "active",
            OnHold => "on_hold",
            CancelRequested => "cancel_requested",
            Revoked => "revoked",
            Completed => "completed",
            EnteredInError => "entered_in_error",
            Unknown => "unknown",
        }
    }

    /// The state as stored; the table's check allows no other word.
    pub(crate) fn stored(text: &str) -> Self {
        match text {
            "active" => Active,
            "on_hold" => OnHold,
            "cancel_requested" => CancelRequested,
            "revoked" => Revoked,
            "completed" => Completed,
            "entered_in_error" => EnteredInError,
            _ => Unknown,
        }
    }

    /// Results complete an order that is still open; they do not bring a revoked one back.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Active | OnHold | CancelRequested | Unknown)
    }
}

/// ORC-5, HL7 table 0038. A letter the table does not know says nothing.
fn said(status: Option<&str>) -> Option<OrderState> {
    Some(match status? {
        "CM" => Completed,
        "CA" | "DC" | "RP" => Revoked,
        "HD" => OnHold,
        "IP" | "SC" | "A" => Active,
        "ER" => EnteredInError,
        _ => return None,
    })
}

/// The state after a message. `from` is `None` for an order not seen before. The control code rules; ORC-5 decides where
/// the control code only reports (SC, SR …), changes (XO) or opens (NW) an order.
pub(crate) fn transition(
    from: Option<OrderState>,
    control: OrderControl,
    status: Option<&str>,
) -> OrderState {
    let said = said(status);
    match (from, control) {
        // an order entered in error stays so
        (Some(EnteredInError), _) => EnteredInError,
        (None, OrderControl::New | OrderControl::Change) => said.unwrap_or(Active),
        // placed again after it was revoked; a repeat of the placing message moves nothing else
        (Some(Revoked | Unknown), OrderControl::New) => said.unwrap_or(Active),
        (Some(from), OrderControl::New) => from,
        (Some(from), OrderControl::Change | OrderControl::Status) => said.unwrap_or(from),
        (None, OrderControl::Status) => said.unwrap_or(Unknown),
        // CA asks; only OC, CR and DC tell
        (Some(from @ (Revoked | Completed)), OrderControl::CancelRequest) => from,
        (_, OrderControl::CancelRequest) => CancelRequested,
        (_, OrderControl::Cancelled | OrderControl::Discontinued) => Revoked,
        (Some(from @ (Revoked | Completed)), OrderControl::Hold | OrderControl::Release) => from,
        (_, OrderControl::Hold) => OnHold,
        (None | Some(OnHold | Unknown), OrderControl::Release) => Active,
        (Some(from), OrderControl::Release) => from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OrderControl as C;

    #[test]
    fn the_table_of_order_states() {
        #[rustfmt::skip]
        let table = [
            // from                  control             ORC-5        to
            (None,                   C::New,             None,        Active),
            (None,                   C::New,             Some("HD"),  OnHold),
            (None,                   C::New,             Some("??"),  Active),
            (None,                   C::Change,          None,        Active),
            (None,                   C::Status,          None,        Unknown),
            (None,                   C::Status,          Some("CM"),  Completed),
            (None,                   C::CancelRequest,   None,        CancelRequested),
            (None,                   C::Cancelled,       None,        Revoked),
            (None,                   C::Hold,            None,        OnHold),
            (None,                   C::Release,         None,        Active),
            (Some(Active),           C::New,             None,        Active),
            (Some(Completed),        C::New,             None,        Completed),
            (Some(CancelRequested),  C::New,             None,        CancelRequested),
            (Some(Revoked),          C::New,             None,        Active),
            (Some(Active),           C::Change,          None,        Active),
            (Some(Active),           C::Change,          Some("CA"),  Revoked),
            (Some(Active),           C::CancelRequest,   None,        CancelRequested),
            (Some(OnHold),           C::CancelRequest,   None,        CancelRequested),
            (Some(Completed),        C::CancelRequest,   None,        Completed),
            (Some(Revoked),          C::CancelRequest,   None,        Revoked),
            (Some(CancelRequested),  C::Cancelled,       None,        Revoked),
            (Some(Active),           C::Cancelled,       None,        Revoked),
            (Some(Active),           C::Discontinued,    None,        Revoked),
            (Some(Active),           C::Hold,            None,        OnHold),
            (Some(OnHold),           C::Release,         None,        Active),
            (Some(CancelRequested),  C::Release,         None,        CancelRequested),
            (Some(Revoked),          C::Hold,            None,        Revoked),
            (Some(Completed),        C::Release,         None,        Completed),
            (Some(Active),           C::Status,          Some("CM"),  Completed),
            (Some(Active),           C::Status,          Some("IP"),  Active),
            (Some(Active),           C::Status,          Some("DC"),  Revoked),
            (Some(Active),           C::Status,          Some("ER"),  EnteredInError),
            (Some(Completed),        C::Status,          None,        Completed),
            (Some(EnteredInError),   C::New,             None,        EnteredInError),
            (Some(EnteredInError),   C::Status,          Some("CM"),  EnteredInError),
        ];
        for (from, control, status, to) in table {
            assert_eq!(
                transition(from, control, status),
                to,
                "{from:?} + {control:?} + {status:?}"
            );
        }
    }

    #[test]
    fn a_state_survives_its_text() {
        for state in [
            Active,
            OnHold,
            CancelRequested,
            Revoked,
            Completed,
            EnteredInError,
            Unknown,
        ] {
            assert_eq!(OrderState::stored(state.as_str()), state);
        }
    }
}

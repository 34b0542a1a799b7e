//! An order on its way into the table: as a source system reported it, or as a command places it.

use hub_core::{Envelope, Refusal};
use schemas::care::{OrderControl, OrderReported};
use schemas::commands::PlaceOrder;
use schemas::ids::care_key;
use schemas::{Body, ChannelId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::body;

/// What only a command says.
pub(super) struct Placing {
    pub(super) actor: String,
    pub(super) targets: Vec<ChannelId>,
}

pub(super) struct Reported<'a> {
    pub(super) slot: usize,
    pub(super) envelope: &'a Envelope,
    pub(super) order: OrderReported,
    pub(super) key: Uuid,
    pub(super) ordered_at: Option<OffsetDateTime>,
    /// Present when it is a command, which may be refused.
    pub(super) placing: Option<Placing>,
}

impl<'a> Reported<'a> {
    pub(super) fn read(slot: usize, envelope: &'a Envelope) -> Result<Self, Refusal> {
        let (order, placing) = if envelope.name == PlaceOrder::NAME {
            let (order, placing) = placed(envelope)?;
            (order, Some(placing))
        } else {
            (body::decode(envelope)?, None)
        };
        let ordered_at = body::time(order.ordered_at.as_deref(), "ordered_at")?;
        Ok(Self {
            slot,
            envelope,
            key: order_key(envelope, &order),
            order,
            ordered_at,
            placing,
        })
    }

    pub(super) fn subject(&self) -> Option<Uuid> {
        self.order.subject.as_ref().map(|subject| subject.key.0)
    }

    /// False for what only takes an order back.
    pub(super) fn may_open(&self) -> bool {
        !matches!(
            self.order.control,
            OrderControl::Cancelled | OrderControl::Discontinued
        )
    }
}

/// A command is a report of our own: a new order, with a number if the caller has none.
fn placed(envelope: &Envelope) -> Result<(OrderReported, Placing), Refusal> {
    let command: PlaceOrder = body::decode(envelope)?;
    if command.code.code.trim().is_empty() {
        return Err(Refusal::new(
            "clinical.order_without_code",
            "an order names the code of a test",
        ));
    }
    let number = command
        .placer_number
        .filter(|number| !number.trim().is_empty())
        .unwrap_or_else(|| own_number(envelope.id));
    let order = OrderReported {
        control: OrderControl::New,
        subject: Some(command.subject),
        visit_number: command.visit_number,
        placer_number: Some(number),
        filler_number: None,
        group_number: None,
        code: command.code,
        status: None,
        priority: command.priority,
        ordered_at: command.ordered_at,
        ordered_by: command.ordered_by,
        specimens: command.specimens,
        notes: command.notes,
        or_open: false,
        occurred_at: None,
    };
    Ok((
        order,
        Placing {
            actor: command.actor,
            targets: command.targets,
        },
    ))
}

/// 16 characters, which every field for a placer number holds (HL7 v2.5.1 EI: 22 in older versions): 60 bits of the
/// command's id, so a repeated command makes the same number.
pub(super) fn own_number(id: Uuid) -> String {
    const LOW: u128 = (1 << 60) - 1;
    format!("R{:015X}", id.as_u128() & LOW)
}

pub(super) fn number(order: &OrderReported) -> Option<&str> {
    [&order.placer_number, &order.filler_number]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .find(|number| !number.is_empty())
}

/// Patient, number (the placer's, else the filler's) and code; without a number every event is its own order.
fn order_key(envelope: &Envelope, order: &OrderReported) -> Uuid {
    let Some(number) = number(order) else {
        return care_key(&envelope.tenant, "order-event", &[&envelope.id.to_string()]);
    };
    let subject = order
        .subject
        .as_ref()
        .map(|subject| subject.key.0.to_string())
        .unwrap_or_default();
    care_key(
        &envelope.tenant,
        "order",
        &[&subject, number, &order.code.code],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_our_own_is_short_and_the_same_for_one_command() {
        let id = Uuid::now_v7();
        assert_eq!(own_number(id), own_number(id));
        assert_eq!(own_number(id).len(), 16);
        assert_ne!(own_number(id), own_number(Uuid::now_v7()));
    }
}

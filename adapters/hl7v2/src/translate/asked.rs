//! Queries: no event, but what was asked stands in the ledger. The edge says how it was answered.

use hub_core::failure::Refusal;
use schemas::integration::TranslationOutcome;

use super::Output;
use super::scope::{Scope, string};
use crate::message::Path;
use crate::settings::OrderMode;

#[expect(
    clippy::unnecessary_wraps,
    reason = "an arm of a match whose other arms can refuse"
)]
pub(super) fn translate(scope: &Scope<'_>, output: &mut Output) -> Result<(), Refusal> {
    output.without_effect = Some(TranslationOutcome::Query);
    let usual = ["QPD-3.1", "QRD-8.1", "ORC-3.1"];
    let paths = scope
        .orders
        .map_or_else(|| usual.to_vec(), |orders| orders.specimen_paths());
    output.keys.accession = paths.into_iter().find_map(|path| {
        let path = Path::parse(path).ok()?;
        let segment = scope.first(path.segment())?;
        let number = segment
            .peek(path.field())
            .component(path.component().unwrap_or(1))
            .subcomponent(1);
        string(number).filter(|number| number.len() <= 80)
    });
    let why = match scope.orders.map(|orders| orders.mode) {
        None => "this channel has no [channel.settings.orders]",
        Some(OrderMode::Off) => "orders.mode is \"off\"",
        Some(OrderMode::Query | OrderMode::Download) => return Ok(()),
    };
    scope.note(format!("a query, acknowledged and not answered: {why}"));
    Ok(())
}

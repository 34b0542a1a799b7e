//! Queries and acknowledgements: what the ledger says of them, and what they never become.

use adapter_hl7v2::settings::{OrderDialect, OrderMode, OrderSettings};
use adapter_hl7v2::translate::{Hl7v2Translator, TranslatorSettings};
use hub_core::mappings::Mappings;
use hub_core::translator::{Translation, Translator as _};
use schemas::integration::TranslationOutcome;

use super::translating::{bodies, raw};

const LAW: &str = "MSH|^~\\&|BA400||Host||1||QBP^Q11^QBP_Q11|q1|P|2.5.1\nQPD|WOS^Work Order Step^IHE_LABTF|t1|S1\nRCP|I||R";
const CHEMISTRY: &str = "MSH|^~\\&|||||1||QRY^Q02|4|P|2.3.1\nQRD|1|R|D|2|||RD|S2|OTH|||T|";
const HAEMATOLOGY: &str =
    "MSH|^~\\&|||||1||ORM^O01|389|P|2.3.1\nORC|RF|C1|S3||IP\nOBX|1|IS|^Take Mode^||||||||F";

fn translate(orders: Option<OrderSettings>, text: &str) -> Translation {
    let bytes = text.replace('\n', "\r");
    Hl7v2Translator::new(TranslatorSettings::default())
        .with_orders(orders)
        .translate(&raw(bytes.as_bytes()), &Mappings::default())
        .unwrap_or_else(|refused| panic!("{}", refused.refusal))
}

#[test]
fn a_query_is_a_query_in_the_ledger_and_orders_nothing() {
    for (dialect, text, tube) in [
        (OrderDialect::Law, LAW, "S1"),
        (OrderDialect::MindrayChemistry, CHEMISTRY, "S2"),
        (OrderDialect::MindrayHaematology, HAEMATOLOGY, "S3"),
    ] {
        let done = translate(Some(OrderSettings::of(dialect)), text);
        assert_eq!(done.outcome, TranslationOutcome::Query, "{text}");
        assert!(done.events.is_empty() && done.notes.is_empty(), "{done:?}");
        assert_eq!(done.keys.accession.as_deref(), Some(tube));
        // on a channel that answers none it is one all the same, and that it was not answered is said
        let done = translate(None, text);
        assert_eq!(done.outcome, TranslationOutcome::Query);
        assert!(done.notes[0].contains("not answered"), "{:?}", done.notes);
        let mut off = OrderSettings::of(dialect);
        off.mode = OrderMode::Off;
        assert!(translate(Some(off), text).notes[0].contains("\"off\""));
    }
}

#[test]
fn an_order_stays_an_order_whatever_its_control() {
    for orc in ["NW|P1", "RF|P1"] {
        let text =
            format!("MSH|^~\\&|HIS||||1||ORM^O01|7|P|2.3\nPID|1||12\nORC|{orc}\nOBR|1|P1||GLU");
        let done = translate(None, &text);
        assert_eq!(done.outcome, TranslationOutcome::Translated);
        assert!(
            bodies(&done)
                .iter()
                .any(|(name, _)| *name == "clinical.order.reported"),
            "{orc}"
        );
    }
}

#[test]
fn what_answers_a_message_of_ours_is_an_answer() {
    for kind in ["ORL^O34^ORL_O42", "ACK^Q03", "ORR^O02", "RSP^K11"] {
        let text = format!("MSH|^~\\&|A||||1||{kind}|7|P|2.5.1\nMSA|AA|1\nORC|OK|P1/GLU");
        assert_eq!(
            translate(None, &text).outcome,
            TranslationOutcome::Answer,
            "{kind}"
        );
    }
}

#[test]
fn the_number_of_a_step_leads_back_to_the_order_where_we_made_it() {
    let text = "MSH|^~\\&|BA400||Host||1||OUL^R22^OUL_R22|r1|P|2.5.1\nSPM|1|S1||SER\nSAC|||S1\nOBR||P1/GLU||GLU\nORC|OK||||CM\nOBX|1|NM|GLU||5|mg/dL|||||F\nOBR||P2/X||NA\nORC|OK||||CM\nOBX|1|NM|NA||140|mmol/L|||||F";
    let numbers = |orders| -> Vec<String> {
        bodies(&translate(orders, text))
            .into_iter()
            .filter(|(name, _)| *name == "lis.result.received")
            .map(|(_, body)| body["placer_number"].as_str().unwrap().to_owned())
            .collect()
    };
    let law = OrderSettings::of(OrderDialect::Law);
    assert_eq!(
        numbers(Some(law)),
        ["P1", "P2/X"],
        "only where the code agrees"
    );
    assert_eq!(numbers(None), ["P1/GLU", "P2/X"]);
}

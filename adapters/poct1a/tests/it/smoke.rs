//! The fuzz bodies for a moment each, on bytes that look a little like documents. `cargo fuzz` does it for hours
//! (tests/fuzz); the translator on the same bytes.

use adapter_poct1a::settings::Dialect;

use crate::translating::translate;

#[expect(unreachable_pub, reason = "public in the fuzz crate")]
#[path = "../../../../tests/fuzz/src/poct1a.rs"]
mod bodies;
#[expect(unreachable_pub, reason = "public in the fuzz crate")]
#[path = "../../../../tests/fuzz/src/smoke.rs"]
mod fuzzing;

/// Pieces that make random bytes reach the interesting places.
const PIECES: &[&[u8]] = &[
    b"<",
    b">",
    b"/>",
    b"\"",
    b"'",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"<?xml version=\"1.0\" encoding=\"utf-8\"?>",
    b"<?x ?>",
    b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
    b"&lt;",
    b"&#x0;",
    b"&b;",
    b"\xEF\xBB\xBF",
    b"\x0b",
    b"\x1c\r",
    b"\r\n",
    b"\x00",
    b"<OBS.R01>",
    b"</OBS.R01>",
    b"<OBS.R02>",
    b"</OBS.R02>",
    b"<HEL.R01><DEV><DEV.serial_id V=\"1\"/></DEV><DSC><DSC.directives_supported_cd V=\"START_CONTINUOUS\"/></DSC></HEL.R01>",
    b"<DST.R01><DST><DST.new_observations_qty V=\"1\"/></DST></DST.R01>",
    b"<EOT.R01/>",
    b"<END.R01/>",
    b"<ESC.R01/>",
    b"<KPA.R01/>",
    b"<REQ.R01/>",
    b"<REQ.R01><REQ><REQ.request_cd V=\"RPAT\"/><PT><PT.patient_id V=\"T1\"/></PT></REQ></REQ.R01>",
    b"<X.Y/>",
    b"<ACK.R01><ACK><ACK.type_id V=\"AE\"/><ACK.control_id V=\"3\"/></ACK></ACK.R01>",
    b"<HDR><HDR.control_id V=\"1\"/><HDR.creation_dttm V=\"2026-01-15T12:00:00-00:00\"/></HDR>",
    b"<SVC>",
    b"</SVC>",
    b"<PT><PT.patient_id V=\"M1\"/><PT.name><FAM V=\"Rao\"/></PT.name>",
    b"</PT>",
    b"<CTC><CTC.lot_number V=\"L\"/>",
    b"</CTC>",
    b"<OBS><OBS.observation_id V=\"GLU\" SN=\"LN\" DN=\"x\"/><OBS.value V=\"&gt; 7,4\" U=\"mg/dL\"/>",
    b"<OBS.interpretation_cd V=\"&lt;\"/><OBS.normal_lo-hi_limit V=\"[4;8]\"/></OBS>",
    b"<NTE><NTE.text V=\"a\">b</NTE.text></NTE>",
    b"<ORD><ORD.order_id V=\"O1\"/></ORD>",
    b"<SVC.observation_dttm V=\"2026-02-30T99\"/>",
    b"\xE9\x81",
    "राम".as_bytes(),
];

/// Any byte first: the bodies take their options from it.
fn begin(random: &mut fuzzing::Random) -> Vec<u8> {
    vec![random.next(256) as u8]
}

fn run(name: &str, body: fn(&[u8])) {
    fuzzing::run(name, PIECES, begin, body);
}

#[test]
fn any_stream_of_bytes_is_cut_the_same_whatever_its_pieces() {
    run("split", bodies::split);
}

#[test]
fn any_bytes_can_be_read_as_a_document_or_refused() {
    run("document", bodies::document);
}

#[test]
fn any_conversation_stores_the_same_whatever_its_pieces_and_acknowledges_nothing_early() {
    run("conversation", bodies::conversation);
}

#[test]
fn any_bytes_can_be_translated_or_refused_and_twice_the_same() {
    run("translate", |bytes| {
        let dialect = Dialect {
            decimal_comma: true,
            specimen: vec!["ORD.order_id".to_owned(), "PT.patient_id".to_owned()],
            ..Dialect::default()
        };
        let mut inside = b"<OBS.R01>".to_vec();
        inside.extend_from_slice(bytes);
        inside.extend_from_slice(b"</OBS.R01>");
        for bytes in [bytes, &inside] {
            let one = translate(dialect.clone(), bytes);
            let two = translate(dialect.clone(), bytes);
            match (one, two) {
                (Ok(one), Ok(two)) => assert_eq!(one.events, two.events),
                (Err(one), Err(two)) => assert_eq!(one.refusal, two.refusal),
                _ => panic!("once translated, once refused"),
            }
        }
    });
}

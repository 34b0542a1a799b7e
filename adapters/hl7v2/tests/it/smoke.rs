//! The fuzz bodies for a moment each, on bytes that look a little like HL7. `cargo fuzz` does it for hours
//! (tests/fuzz).

#[expect(unreachable_pub, reason = "public in the fuzz crate")]
#[path = "../../../../tests/fuzz/src/hl7v2.rs"]
mod bodies;
#[expect(unreachable_pub, reason = "public in the fuzz crate")]
#[path = "../../../../tests/fuzz/src/smoke.rs"]
mod fuzzing;

/// Pieces that make random bytes reach the interesting places.
const PIECES: &[&[u8]] = &[
    b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|7|P|2.5||||||UNICODE UTF-8\r",
    b"MSH|^~\\&|",
    b"MSH$%!?#$",
    b"MSH|",
    b"MSH",
    b"FHS|^~\\&|",
    b"BHS|^~\\&|",
    b"BTS|2\r",
    b"FTS|1\r",
    b"\x0b",
    b"\x1c",
    b"\x1c\r",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\r",
    b"\x00",
    b" ",
    b"\x06",
    b"\xEF\xBB\xBF",
    b"\xFF\xFE",
    b"PID|1||",
    b"OBX|",
    b"PV1",
    b"Z1|",
    b"|",
    b"^",
    b"~",
    b"&",
    b"\\",
    b"\\F\\",
    b"\\.br\\",
    b"\\X0D\\",
    b"\"\"",
    b"8859/1",
    b"GB 18030-2000",
    b"ASCII~ISO IR87",
    b"|||||||||||||||||",
    b"\x1b$B",
    b"\x1b(B",
    "राम".as_bytes(),
    b"\x81\x7c",
    b"\xE9",
    b"2026",
    b"+0530",
    b"1",
    b"text",
    b"MSH|^~\\&|A||B||1||QBP^Q11^QBP_Q11|7|P|2.5.1\rQPD|WOS^x|t|",
    b"MSH|^~\\&|A||B||1||QRY^Q02|7|P|2.3.1\rQRD|1|R|D|2|||RD|",
    b"MSH|^~\\&|A||B||1||ORM^O01|7|P|2.3.1\rORC|RF||",
    b"MSH|^~\\&|A||B||1||ORL^O34|7|P|2.5.1\rMSA|AA|1\rORC|UA|",
    b"\x0bD23\rMSH|^~\\&|LAB\r00018013\x1c\r",
    b"\x0bD21\rMSH|^~\\&|LAB\r00018999\x1c\r",
    b"\x0bN23\rC00006010\x1c\r",
    b"\x0bD23\r",
    b"N21\r",
    b"00005067",
];

/// Every second time a header first.
fn begin(random: &mut fuzzing::Random) -> Vec<u8> {
    if random.next(2) == 0 {
        PIECES[0].to_vec()
    } else {
        Vec::new()
    }
}

fn run(name: &str, body: fn(&[u8])) {
    fuzzing::run(name, PIECES, begin, body);
}

#[test]
fn any_stream_of_bytes_can_be_framed() {
    run("frame", bodies::frame);
}

#[test]
fn any_stream_of_bytes_can_be_read_as_hybrid_blocks() {
    run("hybrid", bodies::hybrid);
}

#[test]
fn any_message_can_be_looked_at_for_a_query_or_an_answer() {
    run("orders", bodies::orders);
}

#[test]
fn any_text_can_be_parsed_or_refused() {
    run("parse", bodies::parse);
}

#[test]
fn any_text_can_be_escaped_and_unescaped() {
    run("escape", bodies::escape);
}

#[test]
fn any_bytes_can_be_decoded() {
    run("charset", bodies::charset);
}

#[test]
fn any_bytes_can_be_split_into_messages() {
    run("batch", bodies::batch);
}

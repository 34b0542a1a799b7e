//! Peers that behave oddly.

use tests::frame;

use super::super::table::{Row, Step};
use super::{SHORT, good};

const PEERS: &str = "Peers";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(PEERS, "a peer that says nothing"),
        Row::new(PEERS, "a TLS handshake on a plain port").write(b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0c\x0d\x0e\x0f\x10\x11").remark("no start block: skipped and counted"),
        Row::new(PEERS, "an HTTP request").write(b"GET / HTTP/1.1\r\nHost: hub\r\nUser-Agent: curl\r\n\r\n").remark("no start block: skipped and counted"),
        {
            let (id, message) = good();
            Row::new(PEERS, "a message in the body of an HTTP request")
                .write(format!("POST /hl7 HTTP/1.1\r\nHost: hub\r\nContent-Length: {}\r\n\r\n", message.len()))
                .write(&message)
                .step(Step::EndWriting)
                .answer("AR", id)
                .closes()
                .keeps_dead(message, "edge.quarantined")
                .remark("it looks like a message, so it is kept")
        },
        {
            let (_, message) = good();
            Row::new(PEERS, "the peer closes before it reads the answer").write(frame(message.as_bytes())).step(Step::Leave).keeps(message, "translated")
        },
        {
            let (id, message) = good();
            Row::new(PEERS, "the peer ends its side and waits").write(frame(message.as_bytes())).step(Step::EndWriting).answer("AA", id).closes().keeps(message, "translated")
        },
        {
            let (_, message) = good();
            let half = &message.as_bytes()[..140];
            Row::new(PEERS, "the peer is switched off inside a frame").write([b"\x0b", half].concat()).step(Step::Quiet(SHORT)).step(Step::Reset).keeps_dead(half, "edge.quarantined")
        },
        {
            let (_, message) = good();
            Row::new(PEERS, "the peer closes with FS sent and CR not").write([b"\x0b", message.as_bytes(), b"\x1c"].concat()).step(Step::Leave).keeps(message, "translated")
        },
    ]
}

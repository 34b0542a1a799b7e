//! Channels on serial lines, through the whole program.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tests::{
    Astm, HubProcess, HubSettings, Rest, SerialDevice, Servers, astm_frame, eventually, frame,
    hybrid_block, oru, unique, within,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(30);

/// A hub with the channel `serial` over this link, beside the one that listens.
fn settings(servers: &Servers, link: &str) -> HubSettings {
    let mut settings = HubSettings::new(servers);
    settings.more =
        format!("\n[[channel]]\nid = \"serial\"\ntenant = \"demo\"\nkind = \"hl7v2\"\n{link}");
    settings
}

fn on_port(port: &Path) -> String {
    format!(
        "[channel.settings.serial]\nport = \"{}\"\nbaud = 19200\nretry_first_ms = 50\nretry_longest_ms = 200\n",
        port.display()
    )
}

async fn link_is(rest: &Rest, state: &str, error: &str) {
    eventually(&format!("the link is {state}: {error}"), SOON, || async {
        let (_, channel) = rest.try_get("/api/v1/channels/serial").await;
        let said = channel["error"].as_str().unwrap_or_default();
        (channel["link"] == state && said.contains(error)).then_some(())
    })
    .await;
}

fn says(answer: &[u8], words: &str) -> bool {
    String::from_utf8_lossy(answer).contains(words)
}

#[tokio::test]
async fn results_of_an_analyzer_on_a_serial_line_are_visible_also_after_it_was_unplugged() {
    let servers = Servers::start().await;
    let port = servers.folder().join("usb-analyzer-port0");
    let hub = HubProcess::start(&servers, &settings(&servers, &on_port(&port))).await;
    let rest = hub.sign_in().await;
    for _ in 0..2 {
        link_is(&rest, "lost", "there is no such port").await;
        let mut device = SerialDevice::plug_in(&port);
        let (patient, id) = (unique("SER"), unique("C"));
        let message = oru(&id, &patient, &unique("S"), &[("GLU", "104", "mg/dL")]);
        for piece in frame(message.as_bytes()).chunks(16) {
            device.write(piece).await;
        }
        let answer = device.read().await;
        assert!(says(&answer, &format!("MSA|AA|{id}")));
        link_is(&rest, "connected", "").await;
        let result = rest.results(&patient, 1).await.remove(0);
        assert_eq!(result["loinc"], "2345-7");
        let row = rest.message(&id).await["id"].clone();
        let message = rest
            .get(&format!("/api/v1/messages/{}", row.as_str().unwrap()))
            .await;
        assert_eq!(message["peer"].as_str(), port.to_str(), "{message}");

        drop(device);
    }
    link_is(&rest, "lost", "there is no such port").await;
}

#[tokio::test]
async fn a_damaged_hybrid_block_is_refused_and_kept_and_its_repeat_has_its_effect() {
    let servers = Servers::start().await;
    let port = servers.folder().join("usb-analyzer-port1");
    let link = format!(
        "{}[channel.settings.frame]\nkind = \"hybrid\"\n",
        on_port(&port)
    );
    let hub = HubProcess::start(&servers, &settings(&servers, &link)).await;
    let rest = hub.sign_in().await;
    let mut device = SerialDevice::plug_in(&port);
    let (patient, id) = (unique("HYB"), unique("C"));
    let message = oru(&id, &patient, &unique("S"), &[("GLU", "104", "mg/dL")]);
    let block = hybrid_block(message.as_bytes());
    // a bit turns over between the analyzer and us: 104 becomes 105
    let at = message.find("||104|").unwrap() + 5 + "||10".len();
    let mut damaged = block.clone();
    damaged[at] ^= 1;

    device.write(&damaged).await;
    assert_eq!(device.read().await, b"\x0bN23\rX00006017\x1c\r");
    device.write(&block).await;
    let answer = device.read().await;
    assert!(says(&answer, &format!("MSA|AA|{id}")));
    // the count and the checksum of our own answer
    let content = &answer[5..answer.len() - 10];
    assert_eq!(answer, hybrid_block(content));

    let results = rest.results(&patient, 1).await;
    let values: Vec<&Value> = results.iter().map(|result| &result["raw_value"]).collect();
    assert_eq!(values, ["104"]);
    let letter = eventually("the damaged block is a dead letter", SOON, || async {
        rest.items("/api/v1/dead-letters?channel=serial")
            .await
            .into_iter()
            .next()
    })
    .await;
    let raw = letter["raw_id"].as_str().unwrap();
    let kept = rest.bytes(&format!("/api/v1/messages/{raw}/body")).await;
    assert_eq!(kept, damaged[1..damaged.len() - 2]);
}

#[tokio::test]
async fn a_serial_server_is_dialled_again_and_its_stale_bytes_and_split_frames_do_no_harm() {
    let servers = Servers::start().await;
    let serial_server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = format!(
        "[channel.settings.client]\nconnect = \"{}\"\nretry_first_ms = 50\nretry_longest_ms = 200\n[channel.settings.frame]\nidle_s = 2\n",
        serial_server.local_addr().unwrap()
    );
    let hub = HubProcess::start(&servers, &settings(&servers, &link)).await;
    let rest = hub.sign_in().await;
    for _ in 0..2 {
        let (mut line, _) = within("the hub dials", SOON, serial_server.accept())
            .await
            .unwrap();
        let (patient, id) = (unique("MOX"), unique("C"));
        let message = oru(&id, &patient, &unique("S"), &[("GLU", "104", "mg/dL")]);
        // what the serial server had buffered of an older message, and then pieces as its packing makes them
        line.write_all(b"GLU^Glucose^L||98|mg/dL|||||F\r\x1c\r")
            .await
            .unwrap();
        for piece in frame(message.as_bytes()).chunks(48) {
            line.write_all(piece).await.unwrap();
            line.flush().await.unwrap();
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"\x1c\r") {
            let read = within("an answer", SOON, line.read_u8()).await;
            answer.push(read.unwrap());
        }
        assert!(says(&answer, &format!("MSA|AA|{id}")));
        link_is(&rest, "connected", "").await;
        assert_eq!(rest.results(&patient, 1).await.len(), 1);
    }
}

#[tokio::test]
async fn an_astm_analyzer_on_a_serial_line_is_heard_and_heard_again_after_it_was_unplugged() {
    let servers = Servers::start().await;
    let port = servers.folder().join("usb-analyzer-port2");
    let mut settings = settings(&servers, &on_port(&port));
    settings.more = settings.more.replace("hl7v2", "astm");
    let hub = HubProcess::start(&servers, &settings).await;
    let rest = hub.sign_in().await;
    for _ in 0..2 {
        link_is(&rest, "lost", "there is no such port").await;
        let mut device = SerialDevice::plug_in(&port);
        let patient = unique("AST");
        let records = [
            format!("H|\\^&|{}||XN-350^1|||||||P|1|20260115120334", unique("C")),
            format!("P|1|{patient}"),
            format!("O|1|{}||^^^WBC|R||||||N||||||||||||||F", unique("T")),
            "R|1|^^^WBC|7.4|10*3/uL|4.0-10.0|N||F||||20260115120334".to_owned(),
            "L|1|N".to_owned(),
        ];
        device.write(&[Astm::ENQ]).await;
        assert_eq!(device.read_exact(1).await, [Astm::ACK]);
        for (n, record) in records.iter().enumerate() {
            for piece in astm_frame(n + 1, record).chunks(7) {
                device.write(piece).await;
            }
            assert_eq!(device.read_exact(1).await, [Astm::ACK], "record {n}");
        }
        device.write(&[Astm::EOT]).await;
        let result = rest.results(&patient, 1).await.remove(0);
        assert_eq!(result["loinc"], "6690-2");
        drop(device);
    }
}

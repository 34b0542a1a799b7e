//! A bedside device with full control of the bytes. It follows POCT01-A2 and shares no code with our adapter.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than the hub's own time for a durable write (3 s).
const ANSWER: Duration = Duration::from_secs(8);

/// One connection.
#[derive(Debug)]
pub struct Poct1a {
    stream: TcpStream,
    heard: String,
    said: u32,
}

impl Poct1a {
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await;
        Self {
            stream: stream.expect("the channel listens"),
            heard: String::new(),
            said: 0,
        }
    }

    /// A message of a kind, with the next control id.
    pub fn message(&mut self, kind: &str, body: &str) -> String {
        self.said += 1;
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<{kind}>\r\n <HDR>\r\n  <HDR.control_id V=\"{:05}\"/>\r\n  \
             <HDR.version_id V=\"POCT1\"/>\r\n  <HDR.creation_dttm V=\"2026-01-15T12:04:{:02}+05:30\"/>\r\n </HDR>\r\n{body}\r\n</{kind}>\r\n",
            self.said,
            self.said % 60
        )
    }

    /// Writes without waiting for an answer.
    ///
    /// # Panics
    /// When the hub has hung up.
    pub async fn write(&mut self, text: &str) {
        let written = self.stream.write_all(text.as_bytes()).await;
        written.expect("the hub listens");
    }

    /// The hub's next message.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn hear(&mut self) -> String {
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            let mut buffer = [0; 1024];
            let count = tokio::time::timeout(ANSWER, self.stream.read(&mut buffer))
                .await
                .expect("the hub answers in time")
                .expect("the connection stands");
            assert!(count > 0, "the hub hung up");
            self.heard
                .push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    /// A whole message from what was heard.
    fn take(&mut self) -> Option<String> {
        let name = self.heard.strip_prefix('<')?.split_once('>')?.0;
        let end = format!("</{name}>");
        let at = self.heard.find(&end)? + end.len();
        Some(self.heard.drain(..at).collect())
    }

    /// Sends a message; the answer's code, which must name it.
    ///
    /// # Panics
    /// When the answer is none to it.
    pub async fn send(&mut self, kind: &str, body: &str) -> String {
        let text = self.message(kind, body);
        self.write(&text).await;
        self.answer().await
    }

    /// The code of the answer to the last message.
    ///
    /// # Panics
    /// When it is none.
    pub async fn answer(&mut self) -> String {
        let heard = self.hear().await;
        let value = |element: &str| {
            let after = heard
                .split_once(&format!("<{element} V=\""))
                .map(|(_, a)| a);
            after.and_then(|a| a.split('"').next()).map(str::to_owned)
        };
        assert_eq!(
            value("ACK.ack_control_id"),
            Some(format!("{:05}", self.said)),
            "{heard}"
        );
        value("ACK.type_cd").expect("an acknowledgement says of which kind it is")
    }

    /// Hello, status, and whatever the hub wants until it is content with continuous mode.
    ///
    /// # Panics
    /// When the hub does anything else.
    pub async fn begin(&mut self, serial: &str) {
        let hello = format!(
            " <DEV>\r\n  <DEV.vendor_id V=\"EXAMPLE\"/>\r\n  <DEV.model_id V=\"GP2\"/>\r\n  <DEV.serial_id V=\"{serial}\"/>\r\n  \
             <DSC>\r\n   <DSC.directives_supported_cd V=\"START_CONTINUOUS\"/>\r\n  </DSC>\r\n </DEV>"
        );
        assert_eq!(self.send("HEL.R01", &hello).await, "AA");
        let status = " <DST>\r\n  <DST.new_observations_qty V=\"0\"/>\r\n </DST>";
        assert_eq!(self.send("DST.R01", status).await, "AA");
        let told = self.take_it().await;
        assert!(told.contains("V=\"START_CONTINUOUS\""), "{told}");
    }

    /// The hub's next message, acknowledged.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn take_it(&mut self) -> String {
        let told = self.hear().await;
        let id = told
            .split_once("<HDR.control_id V=\"")
            .and_then(|(_, after)| after.split('"').next())
            .expect("every message has a control id")
            .to_owned();
        let ack = self.message(
            "ACK.R01",
            &format!(" <ACK>\r\n  <ACK.type_cd V=\"AA\"/>\r\n  <ACK.ack_control_id V=\"{id}\"/>\r\n </ACK>"),
        );
        self.write(&ack).await;
        told
    }
}

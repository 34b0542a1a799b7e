//! Serial lines on pseudo terminals: the master is the device, the port is a symbolic link to the slave, as udev makes
//! them below /dev/serial/by-id.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy knows only test functions"
)]

use adapter_link::{
    FlowControl, Link, LinkError, Parity, Peer, PeerState, SerialLine, SerialSettings,
};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_serial::{SerialPort as _, SerialStream, StopBits};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.expect("not in time")
}

/// A socket in the wall: devices are plugged into it and out of it.
struct Plug {
    folder: TempDir,
}

/// One end of a cable. Dropping it unplugs the device.
struct Device {
    line: SerialStream,
    /// Open all the time, or the device would see a hang-up before the hub has opened its side.
    other: SerialStream,
    port: PathBuf,
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.port);
    }
}

impl Plug {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn port(&self) -> PathBuf {
        self.folder.path().join("usb-analyzer-port0")
    }

    fn plug_in(&self) -> Device {
        let (line, other) = SerialStream::pair().unwrap();
        let port = self.port();
        std::os::unix::fs::symlink(other.name().unwrap(), &port).unwrap();
        Device { line, other, port }
    }

    fn settings(&self) -> SerialSettings {
        SerialSettings {
            retry_first_ms: 10,
            retry_longest_ms: 50,
            ..SerialSettings::plain(self.port())
        }
    }

    fn line(&self) -> SerialLine {
        SerialLine::new(&self.settings(), "test").unwrap()
    }
}

async fn open(settings: &SerialSettings) -> Link {
    let mut line = SerialLine::new(settings, "test").unwrap();
    soon(line.open(&CancellationToken::new())).await.unwrap()
}

async fn arrives(from: &mut (impl tokio::io::AsyncRead + Unpin), expected: &[u8]) {
    let mut bytes = vec![0_u8; expected.len()];
    soon(from.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(bytes, expected);
}

async fn both_ways(link: &mut Link, device: &mut Device) {
    device.line.write_all(b"from the device").await.unwrap();
    arrives(&mut link.stream, b"from the device").await;
    link.stream.write_all(b"to the device").await.unwrap();
    soon(link.stream.flush()).await.unwrap();
    arrives(&mut device.line, b"to the device").await;
}

/// The reason of the first attempt that failed.
async fn why_lost(settings: &SerialSettings) -> String {
    let mut line = SerialLine::new(settings, "test").unwrap();
    let mut state = line.state();
    let stop = CancellationToken::new();
    let watch = async {
        let lost = soon(state.wait_for(|state| matches!(state, PeerState::Lost { .. }))).await;
        let PeerState::Lost { reason, .. } = lost.unwrap().clone() else {
            unreachable!()
        };
        stop.cancel();
        reason
    };
    tokio::join!(watch, line.open(&stop)).0
}

#[tokio::test]
async fn bytes_go_both_ways_over_a_serial_line_as_they_are() {
    let plug = Plug::new();
    let mut device = plug.plug_in();
    let mut link = open(&plug.settings()).await;
    assert_eq!(link.peer, Peer::Serial(plug.port()));
    assert_eq!(link.peer.to_string(), plug.port().display().to_string());
    both_ways(&mut link, &mut device).await;
    let every: Vec<u8> = (0..=255).collect();
    device.line.write_all(&every).await.unwrap();
    arrives(&mut link.stream, &every).await;
    link.stream.write_all(&every).await.unwrap();
    arrives(&mut device.line, &every).await;
}

#[tokio::test]
async fn the_line_is_set_as_the_device_has_it() {
    let plug = Plug::new();
    let mut device = plug.plug_in();
    // A pty has eight bits and no parity whatever it is told; that 7E1 is taken is all it can show.
    for (baud, data_bits, parity, stop_bits, flow_control) in [
        (9600, 8, Parity::None, 1, FlowControl::None),
        (19_200, 7, Parity::Even, 1, FlowControl::XonXoff),
        (19_200, 8, Parity::Even, 2, FlowControl::None),
        (115_200, 8, Parity::Odd, 1, FlowControl::RtsCts),
    ] {
        let mut link = open(&SerialSettings {
            baud,
            data_bits,
            parity,
            stop_bits,
            flow_control,
            dtr: false,
            ..plug.settings()
        })
        .await;
        assert_eq!(device.other.baud_rate().unwrap(), baud);
        let two = device.other.stop_bits().unwrap() == StopBits::Two;
        assert_eq!(two, stop_bits == 2);
        let flow = match device.other.flow_control().unwrap() {
            tokio_serial::FlowControl::None => FlowControl::None,
            tokio_serial::FlowControl::Software => FlowControl::XonXoff,
            tokio_serial::FlowControl::Hardware => FlowControl::RtsCts,
        };
        assert_eq!(flow, flow_control);
        both_ways(&mut link, &mut device).await;
    }
}

#[tokio::test]
async fn with_xon_xoff_the_steering_bytes_never_reach_the_reader_and_stop_only_our_own_writing() {
    let plug = Plug::new();
    let mut device = plug.plug_in();
    let mut link = open(&SerialSettings {
        flow_control: FlowControl::XonXoff,
        ..plug.settings()
    })
    .await;

    device.line.write_all(b"a\x13b").await.unwrap();
    arrives(&mut link.stream, b"ab").await;
    let held = tokio::time::timeout(Duration::from_millis(50), link.stream.write_all(b"answer"));
    assert!(held.await.is_err(), "the device had stopped the flow");

    device.line.write_all(b"c\x11d").await.unwrap();
    arrives(&mut link.stream, b"cd").await;
    soon(link.stream.write_all(b"answer")).await.unwrap();
    arrives(&mut device.line, b"answer").await;
}

#[tokio::test]
async fn a_device_that_is_unplugged_ends_the_link_and_plugged_in_again_gives_the_next() {
    let plug = Plug::new();
    let mut line = plug.line();
    let state = line.state();
    let stop = CancellationToken::new();
    for _ in 0..3 {
        // The first time the hub waits for a device that was never there.
        let mut watching = line.state();
        let later = async {
            let missing = |state: &PeerState| matches!(state, PeerState::Lost { reason, .. } if reason.contains("there is no such port"));
            soon(watching.wait_for(missing)).await.unwrap();
            plug.plug_in()
        };
        let (mut device, link) = tokio::join!(later, soon(line.open(&stop)));
        let mut link = link.unwrap();
        assert!(matches!(&*state.borrow(), PeerState::Connected { peer, .. } if peer.is_serial()));
        both_ways(&mut link, &mut device).await;

        drop(device);

        let error = soon(link.stream.read_u8()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
        assert!(link.stream.write_all(b"x").await.is_err());
        drop(link);
        assert!(
            matches!(&*state.borrow(), PeerState::Lost { reason, .. } if reason.contains("the device is gone"))
        );
    }
    stop.cancel();
    assert!(soon(line.open(&stop)).await.is_none());
    assert_eq!(*state.borrow(), PeerState::Stopped);
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_to_be_and_is_had_when_it_is_free() {
    let plug = Plug::new();
    let mut device = plug.plug_in();
    let first = open(&plug.settings()).await;
    let reason = why_lost(&plug.settings()).await;
    assert!(reason.contains("taken"), "{reason}");
    assert!(
        reason.contains(&plug.port().display().to_string()),
        "{reason}"
    );

    let mut second = plug.line();
    let mut state = second.state();
    let stop = CancellationToken::new();
    let free = async {
        let lost = |state: &PeerState| matches!(state, PeerState::Lost { .. });
        soon(state.wait_for(lost)).await.unwrap();
        drop(first);
    };
    let (_, link) = tokio::join!(free, soon(second.open(&stop)));
    both_ways(&mut link.unwrap(), &mut device).await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_named_with_what_to_do() {
    let plug = Plug::new();
    let reason = why_lost(&plug.settings()).await;
    assert!(reason.contains("/dev/serial/by-id"), "{reason}");

    std::fs::write(plug.port(), "a file").unwrap();
    let reason = why_lost(&plug.settings()).await;
    assert!(reason.contains("no serial port"), "{reason}");

    // root may open everything
    if !nix::unistd::geteuid().is_root() {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(plug.port(), std::fs::Permissions::from_mode(0o000)).unwrap();
        let reason = why_lost(&plug.settings()).await;
        assert!(reason.contains("dialout"), "{reason}");
    }
}

#[tokio::test]
async fn bad_settings_open_nothing() {
    assert!(matches!(
        SerialLine::new(&SerialSettings::plain("ttyUSB0"), "test"),
        Err(LinkError::Settings(faults)) if faults[0].path == "port"
    ));
}

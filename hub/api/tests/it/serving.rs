//! The listener.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::house::House;

#[tokio::test]
async fn requests_are_served_and_idle_connections_do_not_hold_up_the_end() {
    let house = House::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(hub_api::serve(
        listener,
        house.router.clone(),
        None,
        stop.clone().cancelled_owned(),
    ));

    let mut caller = TcpStream::connect(address).await.unwrap();
    caller
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: hub\r\n\r\n")
        .await
        .unwrap();
    let mut answer = vec![0; 4_096];
    let length = caller.read(&mut answer).await.unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(b"GET /heal").await.unwrap();

    let asked = Instant::now();
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(7), served)
        .await
        .unwrap()
        .unwrap();
    assert!(asked.elapsed() < Duration::from_secs(6));
    assert_eq!(caller.read(&mut answer).await.unwrap(), 0, "closed");
}

/// The status line of what is answered to these bytes.
async fn answer_to(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut caller = TcpStream::connect(address).await.unwrap();
    // the listener may hang up before it has read all of it
    let _ = caller.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), caller.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_head_that_is_too_long_or_has_too_many_lines_is_refused() {
    let house = House::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(hub_api::serve(
        listener,
        house.router.clone(),
        None,
        stop.clone().cancelled_owned(),
    ));
    let head = |lines: &str| {
        format!("GET /healthz HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n{lines}\r\n")
    };
    let plain = answer_to(address, head("").as_bytes()).await;
    assert_eq!(plain, "HTTP/1.1 200 OK");
    for lines in [
        "x: y\r\n".repeat(200),
        format!("x: {}\r\n", "y".repeat(1_000_000)),
    ] {
        let refused = answer_to(address, head(&lines).as_bytes()).await;
        assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    }
    stop.cancel();
}

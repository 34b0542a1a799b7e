//! The listener: HTTP/1.1, a deadline for the head of every request, a bound on connections, and an
//! end within five seconds.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::slow::Patient;

/// A caller that does not finish its head in this time is let go; also how long an idle connection is kept.
const HEAD_TIME: Duration = Duration::from_secs(20);
/// A caller that takes nothing of his answer for this long is let go.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// About as many bytes a request's head may have; more is 431, and so are more than 100 lines, which is hyper's own bound.
const HEAD_BYTES: usize = 64 * 1024;
/// Connections at once; more wait in the listener's queue.
const CONNECTIONS: usize = 1_024;
/// How long requests in flight may go on after the signal.
const DRAIN: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept (out of descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Set when the listener stops: whoever sends without end ends then.
#[derive(Debug, Clone)]
pub(crate) struct Stopping(pub(crate) CancellationToken);

/// Serves, over TLS where there is a certificate, until `shutdown` is done, then lets requests in flight end: five seconds at most.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let connections = TaskTracker::new();
    let stopping = CancellationToken::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let accept = async {
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let talk = greet(stream, peer, router.clone(), tls.clone(), stopping.clone());
                    connections.spawn(async move {
                        talk.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the API could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = shutdown => {}
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "the API stops with requests in flight"
        );
    }
}

async fn greet(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    tls: Option<TlsAcceptor>,
    stopping: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return converse(stream, peer, router, stopping).await;
    };
    let hands = tokio::select! {
        hands = tokio::time::timeout(HEAD_TIME, tls.accept(stream)) => hands,
        () = stopping.cancelled() => return,
    };
    match hands {
        Ok(Ok(stream)) => converse(stream, peer, router, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, "a connection came to no TLS"),
        Err(_) => tracing::debug!("a connection came to no TLS in time"),
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    router: Router,
    stopping: CancellationToken,
) {
    // the sign-in brake and the rates ask for the address; what is sent without end asks whether to stop
    let on_the_way = Stopping(stopping.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(on_the_way.clone());
        router.clone().call(request)
    });
    let stream = Patient::new(stream, WRITE_TIME);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // the caller of this task waits no longer than DRAIN, and neither does this one
            tokio::time::timeout(DRAIN, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

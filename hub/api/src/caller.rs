//! Who asks, found out once for each request: his address behind the proxies that are trusted, his token, and whether he asks
//! too often. Nothing is refused here for want of a token: routes know what they need.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use worker_identity::network::Network;

use crate::auth::identity::{Identity, Known};
use crate::limits::{Left, Refused};
use crate::problem::Problem;
use crate::state::ApiState;

/// The layer around all routes that people and programs call.
pub(crate) async fn identify(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut left = None;
    let refused = admit(&state, &mut request, &mut left).await.err();
    let mut response = match refused {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    if let Some(left) = left {
        left.write(response.headers_mut());
    }
    response
}

/// The layer around what anybody may read without a token, and around paths where nothing is: his address is counted all the same.
pub(crate) async fn anybody(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let (left, mut response) = match of_address(&state, &mut request) {
        None => return next.run(request).await,
        Some(Ok(left)) => (left, next.run(request).await),
        Some(Err(refused)) => (refused.left, refused.problem().into_response()),
    };
    left.write(response.headers_mut());
    response
}

/// One more request of its address, which from now on is the one behind our proxies. A test's request comes from none.
fn of_address(state: &ApiState, request: &mut Request) -> Option<Result<Left, Refused>> {
    let ConnectInfo(peer) = *request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    let from = behind(&state.trusted_proxies, peer.ip(), request.headers());
    request
        .extensions_mut()
        .insert(ConnectInfo(SocketAddr::new(from, peer.port())));
    Some(state.counts.address(from, state.rates.per_address))
}

/// Counts the request and looks at its token. What is wrong with the token is told by the route that needs one.
async fn admit(
    state: &ApiState,
    request: &mut Request,
    left: &mut Option<Left>,
) -> Result<(), Problem> {
    let mut count = |taken: Result<Left, Refused>| {
        let (now, problem) = match taken {
            Ok(now) => (now, None),
            Err(refused) => (refused.left, Some(refused.problem())),
        };
        *left = Some(match *left {
            Some(before) if problem.is_none() => before.tighter(now),
            _ => now,
        });
        problem.map_or(Ok(()), Err)
    };
    if let Some(taken) = of_address(state, request) {
        count(taken)?;
    }
    if !request.headers().contains_key(header::AUTHORIZATION) {
        return Ok(());
    }
    let (parts, body) = std::mem::take(request).into_parts();
    let found = Identity::of(&parts, state).await;
    *request = Request::from_parts(parts, body);
    if let Ok(who) = &found {
        count(one_more(state, who))?;
    }
    request.extensions_mut().insert(Known(found));
    Ok(())
}

/// One more request of somebody who is known, and of his hospital. An entry of a FHIR bundle is one too.
pub(crate) fn one_more(state: &ApiState, who: &Identity) -> Result<Left, Refused> {
    let own = match who.rate() {
        Some(rate) => state.counts.caller(who.id, "client", rate),
        None => state.counts.caller(who.id, "user", state.rates.per_user),
    }?;
    let hospital = state.counts.tenant(&who.tenant, state.rates.per_tenant)?;
    let left = own.tighter(hospital);
    match who.plan_rate() {
        Some(rate) => Ok(left.tighter(state.counts.plan(&who.tenant, rate)?)),
        None => Ok(left),
    }
}

/// The address that asks: the peer, or, when the peer is one of our proxies, the last address of `X-Forwarded-For` that is none
/// of them. Whatever stands before it the caller may have written himself.
fn behind(proxies: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let ours = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut from = peer;
    let said: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .collect();
    for hop in said.into_iter().rev() {
        if !ours(from) {
            break;
        }
        match address_of(hop) {
            Some(address) => from = address,
            None => break,
        }
    }
    from
}

/// `10.0.0.7`, `10.0.0.7:4711`, `[2001:db8::1]:4711`, `2001:db8::1`.
fn address_of(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_address_counts_only_behind_a_trusted_proxy() {
        let proxies = [
            Network::parse("10.0.0.0/8").unwrap(),
            Network::parse("192.0.2.1").unwrap(),
        ];
        let found = |peer: &str, said: &[&str]| {
            let mut headers = HeaderMap::new();
            for one in said {
                headers.append("x-forwarded-for", one.parse().unwrap());
            }
            behind(&proxies, peer.parse().unwrap(), &headers).to_string()
        };
        for (peer, said, expected) in [
            ("203.0.113.9", &[][..], "203.0.113.9"),
            // a stranger who claims another address
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.2", &["198.51.100.1"], "198.51.100.1"),
            // what the caller wrote stands to the left of what the proxy saw
            ("10.0.0.2", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.2", &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.2", &["198.51.100.1, 192.0.2.1"], "198.51.100.1"),
            ("10.0.0.2", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.2", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("10.0.0.2", &["10.0.0.3"], "10.0.0.3"),
            ("10.0.0.2", &["unknown"], "10.0.0.2"),
            ("10.0.0.2", &["1.1.1.1, nonsense"], "10.0.0.2"),
        ] {
            assert_eq!(found(peer, said), expected, "{peer} {said:?}");
        }
    }
}

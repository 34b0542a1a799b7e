//! One caller who looks on: first what he missed, from the store, then what comes. He is asked for his rights again while he
//! does, and nothing waits in memory for him but what is being sent.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::request::Parts;
use hub_core::Position;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::live::{Place, Told};
use super::{Change, Followed, topics, write};
use crate::auth::identity::Identity;
use crate::backbone::BackboneError;
use crate::problem::Problem;
use crate::state::ApiState;

/// A word now and then, so that proxies and the caller know that the line stands; also how often his rights are looked at.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Changes read from the store at once.
const PAGE: usize = 200;

/// An open stream.
pub(crate) struct Session {
    state: ApiState,
    /// Of the request: its token is looked at again.
    parts: Parts,
    who: Identity,
    wanted: Option<String>,
    followed: Followed,
    live: broadcast::Receiver<Told>,
    /// The last change that was sent, or passed over.
    last: Position,
    caught_up: bool,
    frames: VecDeque<Bytes>,
    heartbeat: tokio::time::Interval,
    stopping: CancellationToken,
    ended: bool,
    _place: Place,
}

impl Session {
    /// Opens a stream after `since`, or from now on. Whether that position is still kept is known when it returns.
    pub(crate) async fn open(
        state: ApiState,
        parts: Parts,
        who: Identity,
        wanted: Option<String>,
        since: Option<Position>,
        stopping: CancellationToken,
    ) -> Result<Self, Problem> {
        let followed = Followed::of(&state, &who, wanted.as_deref())?;
        let place = state.feed.place()?;
        let live = state.feed.join(&state.backbone, &who.tenant).await?;
        let last = match since {
            Some(position) => position,
            None => state.backbone.newest_fact().await?,
        };
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.reset();
        let mut session = Self {
            state,
            parts,
            who,
            wanted,
            followed,
            live,
            last,
            caught_up: false,
            frames: VecDeque::new(),
            heartbeat,
            stopping,
            ended: false,
            _place: place,
        };
        // a position that is gone is a problem now, not a stream that ends at once
        session.catch_up().await?;
        let hello = format!(
            "retry: 2000\nid: {}\nevent: hello\ndata: {{\"position\":\"{}\"}}\n\n",
            write(last),
            write(last)
        );
        session.frames.push_front(hello.into());
        Ok(session)
    }

    /// The next piece of the stream; `None` at its end. The caller's connection asks for it when it can take more.
    pub(crate) async fn next(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some((Ok(frame), self));
            }
            if self.ended {
                return None;
            }
            if !self.caught_up {
                if let Err(problem) = self.catch_up().await {
                    self.end(&problem);
                }
                continue;
            }
            tokio::select! {
                () = self.stopping.cancelled() => return None,
                told = self.live.recv() => match told {
                    Ok(told) => {
                        if let Err(problem) = self.tell(told.0, &told.1).await {
                            self.end(&problem);
                        }
                    }
                    // slower than the others: what was missed stands in the store
                    Err(broadcast::error::RecvError::Lagged(_)) => self.caught_up = false,
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                _ = self.heartbeat.tick() => {
                    self.frames.push_back(Bytes::from_static(b": still here\n\n"));
                    if let Err(problem) = self.look_again().await {
                        self.end(&problem);
                    }
                }
            }
        }
    }

    /// One page of what was missed.
    async fn catch_up(&mut self) -> Result<(), Problem> {
        let page = self
            .state
            .backbone
            .facts(&self.who.tenant, &topics::events(), self.last, PAGE)
            .await
            .map_err(gone)?;
        for fact in &page.facts {
            if let Some(change) = Change::of(fact) {
                self.tell(fact.position, &change).await?;
            }
        }
        self.last = self.last.max(page.reached);
        self.caught_up = page.is_last;
        Ok(())
    }

    /// What can't be told for want of the database ends the stream before it: the caller comes back and asks from there.
    async fn tell(&mut self, position: Position, change: &Change) -> Result<(), Problem> {
        if position <= self.last {
            return Ok(());
        }
        let is_his = self.followed.has(&self.state, &self.who, change).await?;
        self.last = position;
        if !is_his {
            return Ok(());
        }
        let data = serde_json::to_string(change).unwrap_or_default();
        let frame = format!(
            "id: {}\nevent: {}\ndata: {data}\n\n",
            change.position, change.topic
        );
        self.frames.push_back(frame.into());
        Ok(())
    }

    /// A token that has expired, a session that was ended, a right that was taken away end the stream, or narrow it.
    async fn look_again(&mut self) -> Result<(), Problem> {
        self.who = Identity::look_up(&self.parts, &self.state).await?;
        self.followed = Followed::of(&self.state, &self.who, self.wanted.as_deref())?;
        Ok(())
    }

    fn end(&mut self, problem: &Problem) {
        self.ended = true;
        let data = serde_json::json!({ "code": problem.code, "detail": problem.detail });
        self.frames
            .push_back(format!("event: end\ndata: {data}\n\n").into());
    }
}

/// A position that is not kept any more has a code of its own.
pub(crate) fn gone(error: BackboneError) -> Problem {
    match error {
        BackboneError::Gone => Problem::new(
            axum::http::StatusCode::GONE,
            "changes.gone",
            "what changed since then is no longer kept, or this is no position of this hub: read the lists anew and go on from now",
        ),
        other => other.into(),
    }
}

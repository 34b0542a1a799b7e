//! The thin REST API: sign-in, permissions, problem+json, OpenAPI. It reads state through the queries
//! that workers export and never writes it: every write is a command to the worker that owns the state
//! (design.md §2, §5). It knows neither NATS nor a protocol; [`Backbone`] is all it asks for.

pub mod auth;
pub mod backbone;
mod body_view;
mod caller;
mod command;
mod day;
mod docs_page;
mod extract;
mod feed;
mod fhir;
mod idempotency;
mod identifier;
mod if_match;
mod limits;
mod looks;
mod nul;
mod observe;
mod openapi;
mod operations;
mod page;
mod problem;
mod reads;
mod routes;
mod routing;
mod serve;
mod shape;
mod slow;
mod state;
mod trace;
mod views;

pub use auth::{
    BootstrapError, PERMISSIONS, Provider, TOKEN_LIFETIME, TokenKeys, WeakSecret, bootstrap_admin,
    one_time_password,
};
pub use backbone::{
    Backbone, BackboneError, Check, CommandOutcome, CommandRequest, Follow, KeptBody, Noted,
    Readiness, ReplayRequest,
};
pub use limits::Rates;
pub use openapi::openapi;
pub use problem::{Alternative, FieldProblem, Problem, ProblemDocument};
pub use routes::router;
pub use serve::serve;
pub use state::{ApiLimits, ApiState, RenderMetrics};
/// What serves HTTPS; made from `[api.tls]` by who wires the rooms.
pub use tokio_rustls::TlsAcceptor;

//! The thin REST API: sign-in, permissions, problem+json, OpenAPI. It reads state through the queries
//! that workers export and never writes it: every write is a command to the worker that owns the state
//! (design.md §2, §5). It knows neither NATS nor a protocol; [`Backbone`] is all it asks for.

pub mod auth;
pub mod backbone;
mod body_view;
mod command;
mod docs_page;
mod extract;
mod fhir;
mod identifier;
mod if_match;
mod observe;
mod openapi;
mod page;
mod problem;
mod reads;
mod routes;
mod serve;
mod state;
mod trace;
mod views;

pub use auth::{
    BootstrapError, PERMISSIONS, TOKEN_LIFETIME, TokenKeys, WeakSecret, bootstrap_admin,
};
pub use backbone::{
    Backbone, BackboneError, Check, CommandOutcome, CommandRequest, KeptBody, Readiness,
    ReplayRequest,
};
pub use openapi::openapi;
pub use problem::{FieldProblem, Problem, ProblemDocument};
pub use routes::router;
pub use serve::serve;
pub use state::{ApiLimits, ApiState, RenderMetrics};

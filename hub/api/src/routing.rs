//! Routes and what is said of them. A route's description is a thousand times larger than the route and is made only where somebody
//! wants it (the test that writes `openapi.json`): a hub serves the written document and never makes it.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, Route};
use tower::{Layer, Service};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::state::ApiState;

/// Makes the description of one path.
type Describe = fn() -> UtoipaMethodRouter<ApiState>;

/// One path: its handlers, by method.
pub(crate) struct Routed {
    pub(crate) path: String,
    pub(crate) methods: MethodRouter<ApiState>,
    pub(crate) describe: Describe,
}

impl Routed {
    pub(crate) fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self {
            methods: self.methods.layer(layer),
            ..self
        }
    }
}

/// Paths and their descriptions.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<ApiState>,
    describe: Vec<Describe>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn routes(mut self, one: Routed) -> Self {
        self.describe.push(one.describe);
        Self {
            router: self.router.route(&one.path, one.methods),
            ..self
        }
    }

    pub(crate) fn merge(mut self, others: Self) -> Self {
        self.describe.extend(others.describe);
        Self {
            router: self.router.merge(others.router),
            ..self
        }
    }

    pub(crate) fn into_router(self) -> Router<ApiState> {
        self.router
    }

    /// With the descriptions.
    pub(crate) fn described(self) -> OpenApiRouter<ApiState> {
        self.describe
            .into_iter()
            .fold(OpenApiRouter::new(), |all, describe| all.routes(describe()))
    }
}

/// Handlers of one path, described with `#[utoipa::path]`, as a [`Routed`].
macro_rules! routes {
    ($first:ident $(, $other:ident)* $(,)?) => {{
        use utoipa::Path as _;
        let methods = axum::routing::MethodRouter::new();
        let methods = $crate::routing::routes!(@on methods $first);
        $( let methods = $crate::routing::routes!(@on methods $other); )*
        $crate::routing::Routed {
            path: utoipa_axum::paste! { [<__path_ $first>]::path() },
            methods,
            describe: || utoipa_axum::routes!($first $(, $other)*),
        }
    }};
    (@on $methods:ident $handler:ident) => {
        utoipa_axum::paste! { [<__path_ $handler>]::methods() }
            .iter()
            .fold($methods, |methods, method| {
                methods.on(utoipa_axum::PathItemExt::to_method_filter(method), $handler)
            })
    };
}
pub(crate) use routes;

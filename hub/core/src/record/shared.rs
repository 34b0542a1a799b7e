//! What all messages of a record share, as attributes.

use schemas::TenantId;

/// Attributes that all messages of a record share.
pub(crate) struct Shared<'a> {
    name: &'a str,
    schema: String,
    tenant: &'a str,
    source: &'a str,
    recorded_at: &'a str,
}

impl<'a> Shared<'a> {
    pub(crate) fn new(
        name: &'a str,
        version: u16,
        tenant: &'a TenantId,
        source: &'a str,
        recorded_at: &'a str,
    ) -> Self {
        Self {
            name,
            schema: format!("{name}.v{version}"),
            tenant: tenant.as_str(),
            source,
            recorded_at,
        }
    }

    pub(crate) fn each(&self) -> [(&'static str, &str); 6] {
        [
            ("ce-specversion", "1.0"),
            ("ce-type", self.name),
            ("dataschema", &self.schema),
            ("ce-source", self.source),
            ("hub-tenant", self.tenant),
            ("hub-recorded-at", self.recorded_at),
        ]
    }
}

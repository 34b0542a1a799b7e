//! What the API reads. Every function wants a connection inside a tenant's transaction.

mod access;
mod logins;
mod people;
mod programs;
mod proofs;
mod tenants;

pub use access::{GlassRow, HeldGrant, Standing, broken_glass, glass_search, standing};
pub use logins::{PatientLoginRow, own_record, patient_logins};
pub use people::{
    Account, Factor, GrantRow, RoleRow, SessionOfToken, SessionRow, UserRow, account, account_of,
    factor, factor_of, grant, grants, recovery_left, role, roles, session_of_token, sessions, user,
    users,
};
pub use programs::{ClientRow, ClientSecret, client, client_secrets, clients};
pub use proofs::{PasskeyRow, SubjectRow, invited, passkey, passkeys, subject, subjects};
pub use tenants::{PlanRow, TenantRow, counted_users, plan, plans, tenant, tenants};

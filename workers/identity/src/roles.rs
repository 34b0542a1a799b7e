//! Roles: those that come with the program, as data, and those that a tenant makes.

use std::sync::LazyLock;

use hub_core::{Refusal, Tx, Verdict};
use schemas::identity::DefineRole;
use serde::Deserialize;
use serde_json::json;

use crate::trail::{self, Entry};
use crate::worker::{Asked, Done};

/// A role that every tenant has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltInRole {
    pub code: String,
    pub name: String,
    pub permissions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    role: Vec<BuiltInRole>,
}

static BUILT_IN: LazyLock<Vec<BuiltInRole>> = LazyLock::new(|| {
    toml::from_str::<File>(include_str!("../data/roles.toml"))
        .expect("data/roles.toml is read by a test")
        .role
});

/// All of them, in the order of the file.
#[must_use]
pub fn built_in() -> &'static [BuiltInRole] {
    &BUILT_IN
}

/// The built-in role of that code.
#[must_use]
pub fn find(code: &str) -> Option<&'static BuiltInRole> {
    BUILT_IN.iter().find(|role| role.code == code)
}

pub(crate) async fn define(tx: &mut Tx<'_>, asked: Asked<'_, DefineRole>) -> Done {
    let command = &asked.body;
    if find(&command.code).is_some() {
        return Err(Refusal::new("roles.code_in_use", "a built-in role has this code").into());
    }
    let tenant = tx.tenant().clone();
    let state = if command.retired { "retired" } else { "active" };
    // whoever saw a version changes that one: where there is none any insert is one too many
    let version: Option<i32> = sqlx::query_scalar(
        "insert into users.roles as r (tenant_id, code, name, permissions, state, updated_by)
         select $1, $2, $3, $4, $5, $6
         where coalesce($7, 0) = 0 or exists (select from users.roles where code = $2)
         on conflict (tenant_id, code) do update
             set name = excluded.name, permissions = excluded.permissions, state = excluded.state,
                 updated_by = excluded.updated_by, updated_at = now(), version = r.version + 1
             where $7::integer is null or r.version = $7
         returning version",
    )
    .bind(tenant.as_str())
    .bind(&command.code)
    .bind(&command.name)
    .bind(&command.permissions)
    .bind(state)
    .bind(&command.actor)
    .bind(command.version)
    .fetch_optional(tx.conn())
    .await?;
    let Some(version) = version else {
        return Err(Refusal::new(
            "roles.stale",
            "somebody changed it meanwhile: read it again",
        )
        .into());
    };
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "users.role.define",
            object: format!("role {}", command.code),
            objects: Vec::new(),
            reason: None,
            detail: json!({ "permissions": command.permissions, "state": state, "version": version }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "code": command.code, "version": version, "state": state })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_roles_of_the_house_and_no_code_twice() {
        let mut codes: Vec<&str> = built_in().iter().map(|role| role.code.as_str()).collect();
        for code in [
            "administrator",
            "lab_technician",
            "pathologist",
            "nurse",
            "doctor",
            "pharmacist",
            "front_desk",
            "billing",
            "integration_engineer",
            "auditor",
        ] {
            assert!(codes.contains(&code), "{code}");
        }
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        let everything = find("administrator").unwrap();
        assert_eq!(everything.permissions, ["*"]);
        for role in built_in()
            .iter()
            .filter(|role| role.code != "administrator")
        {
            assert!(
                !role.permissions.iter().any(|one| one == "*"),
                "{}",
                role.code
            );
        }
    }
}

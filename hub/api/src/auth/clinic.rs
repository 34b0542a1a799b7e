//! Whose clinic is it? Who has a permission at some places works with the schedules of those places, and sees who is booked
//! there: that is the work of a desk. A patient's own list, and one appointment for somebody who does not work there, open
//! as a chart does ([`super::chart`]).

use axum::http::StatusCode;
use worker_scheduling::queries::Places;

use super::identity::{Identity, Reach};
use crate::problem::Problem;

/// Places to which lists are narrowed; `None`: the caller has the permission in the whole hospital.
pub(crate) fn places(who: &Identity, permission: &str) -> Option<Places> {
    match who.reach(permission) {
        Reach::Everywhere => None,
        Reach::Nowhere => Some(Places::default()),
        Reach::Places(places) => {
            let (facilities, departments) = places
                .into_iter()
                .map(|place| (place.facility, place.department.unwrap_or_default()))
                .unzip();
            Some(Places {
                facilities,
                departments,
            })
        }
    }
}

/// True when the caller has the permission where the schedule is.
pub(crate) fn is_own(
    who: &Identity,
    permission: &str,
    facility: Option<&str>,
    department: Option<&str>,
) -> bool {
    match who.reach(permission) {
        Reach::Everywhere => true,
        Reach::Nowhere => false,
        Reach::Places(places) => places.iter().any(|place| {
            Some(place.facility.as_str()) == facility
                && (place.department.is_none() || place.department.as_deref() == department)
        }),
    }
}

/// The schedule is at a place of the caller.
///
/// # Errors
/// 403 `auth.scope`.
pub(crate) fn own(
    who: &Identity,
    permission: &'static str,
    facility: Option<&str>,
    department: Option<&str>,
) -> Result<(), Problem> {
    if is_own(who, permission, facility, department) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "auth.scope",
        format!("the schedule is not at a place where you have {permission}"),
    )
    .lacking(permission))
}

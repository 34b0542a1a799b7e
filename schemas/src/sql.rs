//! The one ordered list of migrations: forward only, safe while the previous release runs.

/// One migration, in the order it must be applied.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    pub version: i64,
    pub name: &'static str,
    pub sql: &'static str,
}

/// All migrations, oldest first.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "foundation",
        sql: include_str!("../sql/0001_foundation.sql"),
    },
    Migration {
        version: 2,
        name: "integration",
        sql: include_str!("../sql/0002_integration.sql"),
    },
    Migration {
        version: 3,
        name: "patients",
        sql: include_str!("../sql/0003_patients.sql"),
    },
    Migration {
        version: 4,
        name: "clinical",
        sql: include_str!("../sql/0004_clinical.sql"),
    },
    Migration {
        version: 5,
        name: "audit_users",
        sql: include_str!("../sql/0005_audit_users.sql"),
    },
    Migration {
        version: 6,
        name: "worklist",
        sql: include_str!("../sql/0006_worklist.sql"),
    },
    Migration {
        version: 7,
        name: "controls",
        sql: include_str!("../sql/0007_controls.sql"),
    },
    Migration {
        version: 8,
        name: "criticals",
        sql: include_str!("../sql/0008_criticals.sql"),
    },
    Migration {
        version: 9,
        name: "sendings",
        sql: include_str!("../sql/0009_sendings.sql"),
    },
    Migration {
        version: 10,
        name: "devices",
        sql: include_str!("../sql/0010_devices.sql"),
    },
    Migration {
        version: 11,
        name: "verification",
        sql: include_str!("../sql/0011_verification.sql"),
    },
    Migration {
        version: 12,
        name: "identity",
        sql: include_str!("../sql/0012_identity.sql"),
    },
    Migration {
        version: 13,
        name: "stays",
        sql: include_str!("../sql/0013_stays.sql"),
    },
    Migration {
        version: 14,
        name: "scheduling",
        sql: include_str!("../sql/0014_scheduling.sql"),
    },
    Migration {
        version: 15,
        name: "ledger_numbers",
        sql: include_str!("../sql/0015_ledger_numbers.sql"),
    },
    Migration {
        version: 16,
        name: "chart",
        sql: include_str!("../sql/0016_chart.sql"),
    },
    Migration {
        version: 17,
        name: "tenancy",
        sql: include_str!("../sql/0017_tenancy.sql"),
    },
    Migration {
        version: 18,
        name: "privacy",
        sql: include_str!("../sql/0018_privacy.sql"),
    },
    Migration {
        version: 19,
        name: "ledger_lookup",
        sql: include_str!("../sql/0019_ledger_lookup.sql"),
    },
    Migration {
        version: 20,
        name: "codes",
        sql: include_str!("../sql/0020_codes.sql"),
    },
    Migration {
        version: 21,
        name: "ledger_orders",
        sql: include_str!("../sql/0021_ledger_orders.sql"),
    },
    Migration {
        version: 22,
        name: "name_words",
        sql: include_str!("../sql/0022_name_words.sql"),
    },
    Migration {
        version: 23,
        name: "unmatched_discard",
        sql: include_str!("../sql/0023_unmatched_discard.sql"),
    },
    Migration {
        version: 24,
        name: "sign_in",
        sql: include_str!("../sql/0024_sign_in.sql"),
    },
    Migration {
        version: 25,
        name: "data_keys",
        sql: include_str!("../sql/0025_data_keys.sql"),
    },
    Migration {
        version: 26,
        name: "patient_logins",
        sql: include_str!("../sql/0026_patient_logins.sql"),
    },
    Migration {
        version: 27,
        name: "specimens",
        sql: include_str!("../sql/0027_specimens.sql"),
    },
    Migration {
        version: 28,
        name: "entries_about",
        sql: include_str!("../sql/0028_entries_about.sql"),
    },
    Migration {
        version: 29,
        name: "labels",
        sql: include_str!("../sql/0029_labels.sql"),
    },
];

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn versions_rise_by_one() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, i64::try_from(index).unwrap() + 1);
        }
    }
}

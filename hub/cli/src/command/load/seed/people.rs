//! Invented people: who the n-th one is follows from n alone, so that a measurement knows whom it may ask for.
//!
//! Nobody looks like anybody else (mobiles are unique, and so are name and date of birth together): the worker would have
//! suggested duplicates, and there are none of those rows here. Names are as common as names are: each is that of one in sixty.

use schemas::patients::{Address, HumanName, Identifier, Sex, Telecom};
use schemas::{IdentifierKey, TenantId, event_id};
use time::macros::date;
use uuid::Uuid;

use super::copy::Rows;

/// Authority of the invented numbers, by which invented people are told from others.
pub(in crate::command::load) const SYSTEM: &str = "SEED";

/// People are born on one of so many days, from 1940 on.
const DAYS: u64 = 30_000;

const GIVEN: [&str; 60] = [
    "Aarav", "Aditi", "Ajay", "Akash", "Amit", "Amrita", "Anand", "Ananya", "Anil", "Anita",
    "Arjun", "Arun", "Asha", "Ashok", "Bhavna", "Chandra", "Deepa", "Deepak", "Devi", "Dinesh",
    "Divya", "Farhan", "Fatima", "Ganesh", "Gauri", "Geeta", "Gopal", "Harish", "Imran", "Indira",
    "Jaya", "Kamala", "Karan", "Kavita", "Kiran", "Lakshmi", "Lalita", "Mahesh", "Manoj", "Meena",
    "Meera", "Mohan", "Naveen", "Neha", "Nisha", "Pooja", "Priya", "Radha", "Rahul", "Rajesh",
    "Ramesh", "Ravi", "Rekha", "Sanjay", "Savita", "Shankar", "Sunita", "Suresh", "Usha", "Vijay",
];

const FAMILY: [&str; 60] = [
    "Acharya",
    "Agarwal",
    "Ahmed",
    "Banerjee",
    "Bhat",
    "Bose",
    "Chakraborty",
    "Chauhan",
    "Chopra",
    "Das",
    "Desai",
    "Deshmukh",
    "Dutta",
    "Fernandes",
    "Gandhi",
    "Ghosh",
    "Gowda",
    "Gupta",
    "Hegde",
    "Hussain",
    "Iyengar",
    "Iyer",
    "Jain",
    "Joshi",
    "Kapoor",
    "Kaur",
    "Khan",
    "Kulkarni",
    "Kumar",
    "Mehta",
    "Menon",
    "Mishra",
    "Mukherjee",
    "Nair",
    "Naidu",
    "Pandey",
    "Patel",
    "Patil",
    "Pillai",
    "Prasad",
    "Rai",
    "Rajan",
    "Rao",
    "Rathore",
    "Reddy",
    "Roy",
    "Saxena",
    "Sen",
    "Sethi",
    "Shah",
    "Sharma",
    "Shetty",
    "Shukla",
    "Singh",
    "Sinha",
    "Thakur",
    "Tiwari",
    "Varma",
    "Verma",
    "Yadav",
];

const CITIES: [(&str, &str, &str); 4] = [
    ("Bengaluru", "Karnataka", "560001"),
    ("Mysuru", "Karnataka", "570001"),
    ("Pune", "Maharashtra", "411001"),
    ("Chennai", "Tamil Nadu", "600001"),
];

pub(super) const PATIENTS: &str =
    "tenant_id, id, name, birth_date, sex, telecoms, addresses, fact_at, source_event";
pub(super) const IDENTIFIERS: &str = "tenant_id, key, system, value, kind, patient_id";
pub(super) const MATCH_KEYS: &str = "tenant_id, kind, key, patient_id, words";

/// One of them.
#[derive(Debug)]
pub(in crate::command::load) struct Person {
    pub(in crate::command::load) id: Uuid,
    pub(in crate::command::load) identifier: Identifier,
    pub(in crate::command::load) given: &'static str,
    pub(in crate::command::load) family: &'static str,
    pub(in crate::command::load) mobile: String,
    birth_date: String,
    sex: Sex,
    city: (&'static str, &'static str, &'static str),
}

impl Person {
    /// The n-th, from 0.
    pub(in crate::command::load) fn number(tenant: &TenantId, n: u64) -> Self {
        let value = format!("SD{n:08}");
        let key = IdentifierKey::of(tenant, SYSTEM, &value);
        let (names, families) = (GIVEN.len() as u64, FAMILY.len() as u64);
        let (given, family) = (n % names, n / names % families);
        // those of one name are born on days of their own: 7919 and the number of days have no divisor in common
        let day = (n / (names * families) * 7919 + given * 331 + family * 17) % DAYS;
        // nor have a power of three and one of ten
        let number = (n * 387_420_489 + 123_456_789) % 1_000_000_000;
        Self {
            // as the index makes it (workers/patient/src/index.rs, `create`)
            id: event_id(key.0, 0),
            identifier: Identifier {
                key,
                system: SYSTEM.to_owned(),
                value,
                kind: Some("MR".to_owned()),
            },
            given: GIVEN[given as usize],
            family: FAMILY[family as usize],
            mobile: format!("9{number:09}"),
            birth_date: (date!(1940 - 01 - 01) + time::Duration::days(day as i64)).to_string(),
            sex: if (n / 7).is_multiple_of(2) {
                Sex::Female
            } else {
                Sex::Male
            },
            city: CITIES[(n % 4) as usize],
        }
    }

    fn name(&self) -> HumanName {
        HumanName {
            family: Some(self.family.to_owned()),
            given: vec![self.given.to_owned()],
            ..HumanName::default()
        }
    }

    fn telecoms(&self) -> Vec<Telecom> {
        vec![Telecom {
            value: format!("+91 {}", self.mobile),
            system: "mobile".to_owned(),
            use_code: None,
        }]
    }

    /// The rows that a registration of this person writes.
    pub(super) fn write(
        &self,
        tenant: &TenantId,
        at: &str,
        patients: &mut Rows,
        identifiers: &mut Rows,
        keys: &mut Rows,
    ) -> anyhow::Result<()> {
        let (name, telecoms) = (self.name(), self.telecoms());
        let (city, state, postal_code) = self.city;
        let address = Address {
            city: Some(city.to_owned()),
            state: Some(state.to_owned()),
            postal_code: Some(postal_code.to_owned()),
            country: Some("IN".to_owned()),
            ..Address::default()
        };
        let tenant = tenant.as_str();
        let id = self.id.to_string();
        let key = self.identifier.key.0.to_string();
        patients.push(&[
            Some(tenant),
            Some(&id),
            Some(&serde_json::to_string(&name)?),
            Some(&self.birth_date),
            Some(self.sex.as_str()),
            Some(&serde_json::to_string(&telecoms)?),
            Some(&serde_json::to_string(&[address])?),
            Some(at),
            // no message brought them: an id that none has
            Some(&event_id(self.id, 0).to_string()),
        ]);
        identifiers.push(&[
            Some(tenant),
            Some(&key),
            Some(&self.identifier.system),
            Some(&self.identifier.value),
            self.identifier.kind.as_deref(),
            Some(&id),
        ]);
        let identifier = std::slice::from_ref(&self.identifier);
        for (kind, key, words) in
            worker_patient::match_keys(&name, &self.birth_date, &telecoms, identifier)
        {
            keys.push(&[
                Some(tenant),
                Some(kind),
                Some(&key),
                Some(&id),
                words.as_deref(),
            ]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nobody_shares_what_makes_two_records_look_alike() {
        let tenant = TenantId::new("demo").unwrap();
        let (mut mobiles, mut births) = (HashSet::new(), HashSet::new());
        // neighbours, and those who have the same two names
        let few = 0..20_000;
        let namesakes = (0..2_000).map(|n| n * 3_600 + 17);
        let mut count = 0;
        for n in few.chain(namesakes).collect::<HashSet<u64>>() {
            let person = Person::number(&tenant, n);
            mobiles.insert(person.mobile);
            births.insert((person.given, person.family, person.birth_date));
            count += 1;
        }
        assert_eq!(mobiles.len(), count);
        assert_eq!(births.len(), count);
        let words: HashSet<&str> = GIVEN.into_iter().chain(FAMILY).collect();
        assert_eq!(words.len(), GIVEN.len() + FAMILY.len());
    }

    #[test]
    fn somebody_has_a_row_for_each_key_he_is_found_by() {
        let tenant = TenantId::new("demo").unwrap();
        let person = Person::number(&tenant, 12);
        let identifier = std::slice::from_ref(&person.identifier);
        let keys = worker_patient::match_keys(
            &person.name(),
            &person.birth_date,
            &person.telecoms(),
            identifier,
        );
        let of = |wanted: &str| {
            keys.iter()
                .filter(|(kind, ..)| *kind == wanted)
                .map(|(_, key, _)| key.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("name"), ["acharya", "asha"]);
        assert!(keys.iter().all(
            |(kind, _, words)| words.as_deref() == (*kind == "name").then_some(" acharya asha")
        ));
        assert_eq!(of("mobile"), [person.mobile.as_str()]);
        assert_eq!(
            of("name_birth"),
            [format!("acharya asha {}", person.birth_date)]
        );
    }
}

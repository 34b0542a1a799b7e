//! OpenAPI descriptions of the canonical types, taken from their JSON Schemas (both are draft 2020-12),
//! so that nothing has to be said twice.

use schemars::generate::SchemaSettings;
use schemas::care::{Attachment, Code, Location, Practitioner, Value};
use schemas::chart::{
    Addendum, Allergy, Condition, Document, DrugCheck, Note, Prescription, PrescriptionLine,
};
use schemas::devices::AlarmValue;
use schemas::patients::{Address, HumanName, Telecom};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema};

fn describe<T: schemars::JsonSchema>() -> RefOr<Schema> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    serde_json::from_value(schema.to_value())
        .unwrap_or_else(|_| RefOr::T(Schema::Object(ObjectBuilder::new().build())))
}

macro_rules! descriptions {
    ($($name:ident: $canonical:ty),+ $(,)?) => {
        $(pub(crate) fn $name() -> RefOr<Schema> { describe::<$canonical>() })+
    };
}

descriptions! {
    code: Code,
    location: Location,
    practitioner: Practitioner,
    value: Value,
    alarm_value: AlarmValue,
    human_name: HumanName,
    human_names: Vec<HumanName>,
    telecoms: Vec<Telecom>,
    addresses: Vec<Address>,
    allergy: Allergy,
    condition: Condition,
    note: Note,
    prescription: Prescription,
    prescription_lines: Vec<PrescriptionLine>,
    document: Document,
}

/// Each canonical type as it is described wherever it stands, without its title.
pub(crate) fn all() -> Vec<(&'static str, serde_json::Value)> {
    fn plain<T: schemars::JsonSchema>() -> serde_json::Value {
        let mut schema = serde_json::to_value(describe::<T>()).unwrap_or_default();
        if let Some(members) = schema.as_object_mut() {
            members.remove("title");
        }
        schema
    }
    vec![
        ("Code", plain::<Code>()),
        ("Location", plain::<Location>()),
        ("Practitioner", plain::<Practitioner>()),
        ("Attachment", plain::<Attachment>()),
        ("Value", plain::<Value>()),
        ("AlarmValue", plain::<AlarmValue>()),
        ("HumanName", plain::<HumanName>()),
        ("Telecom", plain::<Telecom>()),
        ("Address", plain::<Address>()),
        // the entry around each has the plain name
        ("AllergyContent", plain::<Allergy>()),
        ("ConditionContent", plain::<Condition>()),
        ("NoteContent", plain::<Note>()),
        ("Addendum", plain::<Addendum>()),
        ("PrescriptionContent", plain::<Prescription>()),
        ("PrescriptionLine", plain::<PrescriptionLine>()),
        ("DrugCheck", plain::<DrugCheck>()),
        ("DocumentContent", plain::<Document>()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_type_is_described_as_its_json_schema_says() {
        for (description, word) in [
            (code(), "system"),
            (human_name(), "family"),
            (telecoms(), "mobile"),
            (value(), "comparator"),
            (value(), "attachment"),
        ] {
            let text = serde_json::to_string(&description).unwrap();
            assert!(text.contains(word), "{word} is missing in {text}");
        }
    }
}

//! A field of an update: keep, clear or set.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an update says of one field. HL7 v2 (§2.5.3 of v2.5.1): an empty field leaves the value as it
/// is, `""` deletes it, anything else replaces it. In JSON: absent, `null`, value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The sender said nothing.
    #[default]
    Keep,
    /// The sender deletes the value.
    Clear,
    /// The sender gives a value.
    Set(T),
}

impl<T> Patch<T> {
    /// True when the sender said nothing; use with `skip_serializing_if`.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The value that was set.
    pub fn as_set(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Applies this patch to a stored value.
    pub fn apply_to(&self, stored: &mut Option<T>)
    where
        T: Clone,
    {
        match self {
            Self::Keep => {}
            Self::Clear => *stored = None,
            Self::Set(value) => *stored = Some(value.clone()),
        }
    }
}

impl<T> From<Option<T>> for Patch<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_set().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Patch_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Row {
        #[serde(default, skip_serializing_if = "Patch::is_keep")]
        a: Patch<String>,
    }

    #[test]
    fn absent_null_and_value_survive_json() {
        for (row, json) in [
            (Row { a: Patch::Keep }, "{}"),
            (Row { a: Patch::Clear }, r#"{"a":null}"#),
            (
                Row {
                    a: Patch::Set("x".into()),
                },
                r#"{"a":"x"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&row).unwrap(), json);
            assert_eq!(serde_json::from_str::<Row>(json).unwrap(), row);
        }
    }
}

//! Types that stand once in the document, however many operations speak of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::object;
use crate::views::canonical;

/// A page's items are described where the item is, not once more in each page.
pub(super) fn refer_to_items(schemas: &mut Value) {
    let mut found = Map::new();
    for (name, schema) in object(schemas) {
        let Some(item) = name.strip_prefix("Page_") else {
            continue;
        };
        let Some(items) = schema.pointer_mut("/properties/items/items") else {
            continue;
        };
        let reference = json!({ "$ref": format!("#/components/schemas/{item}") });
        let described = std::mem::replace(items, reference);
        if described.get("$ref").is_none() {
            found.insert(item.to_owned(), described);
        }
    }
    for (name, schema) in found {
        schemas[name.as_str()] = schema;
    }
}

/// Canonical types stand once: a client that is made of this document has one `Code`, and not one for each place where a code
/// stands.
pub(super) fn name_canonical_types(schemas: &mut Value) {
    let mut types = canonical::all();
    // no other component may have the name of one; that is tested
    types.retain(|(name, _)| schemas.get(name).is_none());
    let mut used = BTreeSet::new();
    refer_to_types(schemas, &types, &mut used);
    let named: Vec<(&'static str, Value)> = types
        .iter()
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            for (_, part) in object(&mut schema) {
                refer_to_types(part, &types, &mut used);
            }
            (*name, schema)
        })
        .collect();
    for (name, schema) in named {
        if used.contains(name) {
            schemas[name] = schema;
        }
    }
}

fn refer_to_types(
    value: &mut Value,
    types: &[(&'static str, Value)],
    used: &mut BTreeSet<&'static str>,
) {
    if let Value::Object(members) = value {
        let title = members.remove("title");
        let found = types
            .iter()
            .find(|(_, schema)| schema.as_object().is_some_and(|schema| schema == members));
        if let Some((name, _)) = found {
            used.insert(name);
            *value = json!({ "$ref": format!("#/components/schemas/{name}") });
            return;
        }
        if let Some(title) = title {
            members.insert("title".to_owned(), title);
        }
    }
    match value {
        Value::Object(members) => members
            .iter_mut()
            .for_each(|(_, member)| refer_to_types(member, types, used)),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| refer_to_types(item, types, used)),
        _ => {}
    }
}

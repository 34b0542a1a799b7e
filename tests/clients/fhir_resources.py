"""PyPI fhir.resources 8.3.0, the models of R4B (equal to R4 for these types): reads every answer of /fhir for the demo data."""

import json
from decimal import Decimal

from fhir.resources.R4B import get_fhir_model_class

from fhir_demo import everything

texts, seen = everything()
checked = 0


def resources(value):
    """Every resource in it, bundles first."""
    if isinstance(value, dict):
        if "resourceType" in value:
            yield value
        for inner in value.values():
            yield from resources(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from resources(inner)


for text in texts:
    for resource in resources(json.loads(text, parse_float=Decimal)):
        model = get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        again = json.loads(model.model_dump_json(), parse_float=Decimal)
        lost = set(resource) - set(again)
        assert not lost, f"{resource['resourceType']}/{resource.get('id')}: lost {lost}"
        checked += 1

print(f"{len(texts)} answers, {checked} resources: " + ", ".join(f"{n} {kind}" for kind, n in sorted(seen.items())))

"""The demo data as FHIR shows it: plays the fixtures over MLLP, then follows every list below /fhir to its end. Python's own
library only; what the resources are worth, others say (fhir_resources.py, fhir_medplum.mjs)."""

import json
import os
import pathlib
import socket
import sys
import urllib.parse
import urllib.request

from look import MLLP, Hub, unique

FIXTURES = pathlib.Path(os.environ.get("HUB_FIXTURES") or pathlib.Path(__file__).parents[2] / "fixtures") / "hl7v2"
BASE = "http://" + os.environ.get("HUB_API_ADDR", "127.0.0.1:8080") + "/fhir"
#: Types of a chart: their lists are a patient's.
OF_A_CHART = (
    "Encounter", "ServiceRequest", "Specimen", "DiagnosticReport", "Observation", "Condition", "AllergyIntolerance",
    "MedicationRequest", "Appointment", "DocumentReference",
)


def play():
    """Each fixture on one connection; what is no message is answered too."""
    for file in sorted(FIXTURES.glob("*.hl7")):
        with socket.create_connection(MLLP, timeout=15) as line:
            line.sendall(b"\x0b" + file.read_bytes() + b"\x1c\r")
            heard = line.recv(65536)
        assert b"MSA|" in heard, f"{file.name}: {heard!r}"


class Fhir:
    """A FHIR client of a hundred lines: pages and nothing else."""

    def __init__(self, hub):
        self.token = hub.token
        self.texts = []

    def text(self, address, method="GET", resource=None):
        request = urllib.request.Request(address if "://" in address else f"{BASE}/{address}", method=method)
        request.add_header("authorization", "Bearer " + self.token)
        request.add_header("accept", "application/fhir+json")
        request.add_header("content-type", "application/fhir+json")
        data = None if resource is None else json.dumps(resource).encode()
        with urllib.request.urlopen(request, data, timeout=15) as answer:
            assert answer.headers["content-type"] == "application/fhir+json", answer.headers["content-type"]
            text = answer.read().decode()
        self.texts.append(text)
        return text

    def get(self, address):
        return json.loads(self.text(address))

    def create(self, resource):
        return json.loads(self.text(resource["resourceType"], "POST", resource))

    def update(self, resource, **members):
        resource = {**resource, **members}
        return json.loads(self.text(f"{resource['resourceType']}/{resource['id']}", "PUT", resource))

    def pages(self, address):
        """All resources that match, page by page."""
        found = []
        while address:
            bundle = self.get(address)
            found += [entry["resource"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]
            said = [entry["resource"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "outcome"]
            assert not said, said
            address = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        return found


def register(fhir):
    """Registers somebody under a number of the house's, and corrects what was said of her."""
    patient = fhir.create({
        "resourceType": "Patient", "name": [{"use": "official", "family": unique("Sharma "), "given": ["Asha"]}], "gender": "female",
        "birthDate": "1980", "telecom": [{"system": "email", "value": unique("asha.") + "@example.org", "use": "home"}],
        "extension": [{"url": "urn:hub:extension:facility", "valueString": "SGM"}],
    })
    reason = [{"url": "urn:hub:extension:reason", "valueString": "passport shown"}]
    patient = fhir.update(patient, birthDate="1980-05-17", address=[{"line": ["12 MG Road"], "city": "Bengaluru"}], extension=reason)
    assert patient["birthDate"] == "1980-05-17" and patient["identifier"][0]["value"], patient


def chart(hub, fhir, patient):
    """Writes of everything that staff write one into the chart, over FHIR where that is possible, and changes it."""
    whose = {"reference": f"Patient/{patient}"}
    coded = lambda code: {"coding": [{"code": code}]}
    condition = fhir.create({
        "resourceType": "Condition", "subject": whose, "onsetDateTime": "2019-04",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "E11.9"}], "text": "Type 2 diabetes mellitus"},
    })
    condition = fhir.update(condition, verificationStatus=coded("confirmed"))
    fhir.update(condition, clinicalStatus=coded("resolved"), abatementDateTime="2026-01")
    allergy = fhir.create({
        "resourceType": "AllergyIntolerance", "patient": whose, "category": ["medication"], "code": {"text": unique("Penicillin ")},
        "reaction": [{"manifestation": [{"text": "rash"}], "severity": "severe"}],
    })
    fhir.update(
        allergy, verificationStatus=coded("refuted"), clinicalStatus=coded("inactive"), note=[{"text": "tolerated amoxicillin"}]
    )
    drug = fhir.create({
        "resourceType": "MedicationRequest", "status": "draft", "intent": "order", "subject": whose,
        "medicationCodeableConcept": {"text": "Metformin 500 mg tablet"},
        "dosageInstruction": [{
            "timing": {"code": {"text": "1-0-1"}, "repeat": {"boundsDuration": {"value": 5, "unit": "day", "code": "d"}}},
            "route": {"text": "oral"}, "doseAndRate": [{"doseQuantity": {"value": 500, "unit": "mg"}}],
        }],
    })
    looked = [{"url": "urn:hub:extension:accept-unchecked", "valueBoolean": True}]
    signed = fhir.update(drug, status="active", extension=looked)
    fhir.update(signed, status="cancelled", statusReason={"text": "rash"})
    hub.post(f"/patients/{patient}/notes", {"note_kind": "progress", "title": "Monday", "text": "Better today."})
    letter = {"title": "Letter", "document_kind": "referral", "media_type": "application/pdf", "content_base64": "JVBERi0xLjcK"}
    hub.post(f"/patients/{patient}/documents", letter)
    hours = [{"weekday": day, "from": "00:00", "to": "24:00"} for day in range(1, 8)]
    schedule = hub.post("/schedules", {"name": "OPD", "practitioner": "D-7", "slot_minutes": 30, "horizon_days": 2, "hours": hours})
    slots = hub.get("/slots", schedule_id=schedule["schedule_id"], free="true", limit=500)["items"]
    booked = fhir.create({
        "resourceType": "Appointment", "status": "booked", "slot": [{"reference": f"Slot/{slots[-1]['id']}"}],
        "start": slots[-1]["starts_at"], "end": slots[-1]["ends_at"], "participant": [{"actor": whose, "status": "accepted"}],
    })
    fhir.update(booked, status="cancelled", cancelationReason={"text": "patient called off"})


def everything():
    """Every bundle and resource that /fhir answers with for what the hub has, as texts."""
    hub = Hub()
    play()
    hub.wait("patients", "/patients", 1, identifier="SGM100001")
    fhir = Fhir(hub)
    statement = fhir.get("metadata")
    served = {one["type"]: one for one in statement["rest"][0]["resource"]}
    register(fhir)
    patients = fhir.pages("Patient?_count=7&_revinclude=Provenance:target")
    seen = {"Patient": len(patients)}
    chart(hub, fhir, next(patient["id"] for patient in patients if patient["active"]))
    for kind in sorted(served.keys() - {"Patient", "Provenance"} - set(OF_A_CHART)):
        seen[kind] = len(fhir.pages(f"{kind}?_count=50"))
    for patient in patients:
        for kind in OF_A_CHART:
            includes = [("_include", f"{kind}:*")] + [("_revinclude", one) for one in served[kind].get("searchRevInclude", [])]
            of = fhir.pages(f"{kind}?patient={patient['id']}&_count=20&{urllib.parse.urlencode(includes)}")
            seen[kind] = seen.get(kind, 0) + len(of)
            for one in of[:2]:
                fhir.get(f"{kind}/{one['id']}")
                fhir.get(f"{kind}/{one['id']}/_history")
        assert fhir.pages(f"Patient/{patient['id']}/$everything?_count=50")
    missing = [kind for kind in served.keys() - {"Provenance"} if not seen.get(kind)]
    assert not missing, f"nothing to look at: {missing}"
    return fhir.texts, seen


if __name__ == "__main__":
    texts, _ = everything()
    json.dump(texts, sys.stdout)

"""The demo data as FHIR shows it: plays the fixtures over MLLP, then follows every list below /fhir to its end. Python's own
library only; what the resources are worth, others say (fhir_resources.py, fhir_medplum.mjs)."""

import json
import os
import pathlib
import socket
import sys
import time
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

    def text(self, address, method="GET", resource=None, unless=None):
        request = urllib.request.Request(address if "://" in address else f"{BASE}/{address}", method=method)
        request.add_header("authorization", "Bearer " + self.token)
        request.add_header("accept", "application/fhir+json")
        request.add_header("content-type", "application/fhir+json")
        if unless:
            request.add_header("if-none-exist", unless)
        data = None if resource is None else json.dumps(resource).encode()
        with urllib.request.urlopen(request, data, timeout=15) as answer:
            assert answer.headers["content-type"] == "application/fhir+json", answer.headers["content-type"]
            text = answer.read().decode()
        self.texts.append(text)
        return text

    def get(self, address):
        return json.loads(self.text(address))

    def create(self, resource, unless=None):
        return json.loads(self.text(resource["resourceType"], "POST", resource, unless))

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
    # under a condition she is not registered again
    number = patient["identifier"][0]
    condition = "identifier=" + urllib.parse.quote(f"{number['system']}|{number['value']}")
    again = fhir.create({"resourceType": "Patient", "name": [{"family": "Sharma"}], "identifier": [number]}, unless=condition)
    assert again["id"] == patient["id"], again


def attend(hub, fhir, whose):
    """Opens a visit and enters a round of observations in it, one of them wrong."""
    places = hub.get("/departments")["items"]
    if places:
        department = places[0]["id"]
    else:
        facility = hub.post("/facilities", {"code": "MAIN", "name": "Main"})["id"]
        department = hub.post("/departments", {"facility_id": facility, "code": "OPD", "name": "Out-patients"})["id"]
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    visit = fhir.create({
        "resourceType": "Encounter", "status": "in-progress", "class": {"system": act, "code": "AMB"}, "subject": whose,
        "reasonCode": [{"text": "fever"}], "participant": [{"individual": {"identifier": {"value": "D-7"}, "display": "R. Rao"}}],
        "extension": [{"url": "urn:hub:extension:department", "valueString": department}],
    })
    fhir.update(visit, serviceType={"text": "MED"})
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 120))
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    ucum = "http://unitsofmeasure.org"
    for loinc, name, value, unit in (
        ("9279-1", "Respiratory rate", 16, "/min"), ("59408-5", "Oxygen saturation", 97, "%"),
        ("8480-6", "Systolic blood pressure", 120, "mm[Hg]"), ("8867-4", "Heart rate", 170, "/min"),
    ):
        entered = fhir.create({
            "resourceType": "Observation", "status": "final", "subject": whose, "effectiveDateTime": at,
            "encounter": {"reference": f"Encounter/{visit['id']}"},
            "category": [{"coding": [{"system": category, "code": "vital-signs"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": loinc, "display": name}]},
            "valueQuantity": {"value": value, "unit": unit, "system": ucum, "code": unit},
        })
    reason = [{"url": "urn:hub:extension:reason", "valueString": "typed 170 for 70"}]
    right = {"value": 70, "unit": "/min", "system": ucum, "code": "/min"}
    assert fhir.update(entered, valueQuantity=right, extension=reason)["status"] == "corrected"


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
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    slots = fhir.pages(f"Slot?schedule={schedule['schedule_id']}&status=free&start=ge{soon}&_include=Slot:schedule&_count=40")
    booked = fhir.create({
        "resourceType": "Appointment", "status": "booked", "slot": [{"reference": f"Slot/{slots[-1]['id']}"}],
        "start": slots[-1]["start"], "end": slots[-1]["end"], "participant": [{"actor": whose, "status": "accepted"}],
    })
    assert fhir.get(booked["slot"][0]["reference"])["status"] == "busy"
    fhir.update(booked, status="cancelled", cancelationReason={"text": "patient called off"})
    attend(hub, fhir, whose)


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
    today = time.strftime("%Y-%m-%d", time.gmtime())
    for kind in sorted(served.keys() - {"Patient", "Provenance"} - set(OF_A_CHART)):
        narrow = f"&start=ge{today}" if kind == "Slot" else ""
        seen[kind] = len(fhir.pages(f"{kind}?_count=50{narrow}"))
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

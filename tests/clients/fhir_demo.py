"""The demo data as FHIR shows it: plays the fixtures over MLLP, then follows every list below /fhir to its end. Python's own
library only; what the resources are worth, others say (fhir_resources.py, fhir_medplum.mjs)."""

import json
import os
import pathlib
import socket
import sys
import urllib.parse
import urllib.request

from look import MLLP, Hub

FIXTURES = pathlib.Path(os.environ.get("HUB_FIXTURES") or pathlib.Path(__file__).parents[2] / "fixtures") / "hl7v2"
BASE = "http://" + os.environ.get("HUB_API_ADDR", "127.0.0.1:8080") + "/fhir"
#: Types of a chart: their lists are a patient's.
OF_A_CHART = ("Encounter", "ServiceRequest", "Specimen", "DiagnosticReport", "Observation")


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

    def text(self, address):
        request = urllib.request.Request(address if "://" in address else f"{BASE}/{address}")
        request.add_header("authorization", "Bearer " + self.token)
        request.add_header("accept", "application/fhir+json")
        with urllib.request.urlopen(request, timeout=15) as answer:
            assert answer.headers["content-type"] == "application/fhir+json", answer.headers["content-type"]
            text = answer.read().decode()
        self.texts.append(text)
        return text

    def get(self, address):
        return json.loads(self.text(address))

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


def everything():
    """Every bundle and resource that /fhir answers with for what the hub has, as texts."""
    hub = Hub()
    play()
    hub.wait("patients", "/patients", 1, identifier="SGM100001")
    fhir = Fhir(hub)
    statement = fhir.get("metadata")
    served = {one["type"] for one in statement["rest"][0]["resource"]}
    patients = fhir.pages("Patient?_count=7&_revinclude=Provenance:target")
    seen = {"Patient": len(patients)}
    for kind in sorted(served - {"Patient", "Provenance"} - set(OF_A_CHART)):
        seen[kind] = len(fhir.pages(f"{kind}?_count=50"))
    for patient in patients:
        for kind in OF_A_CHART:
            include = urllib.parse.quote(f"{kind}:*")
            of = fhir.pages(f"{kind}?patient={patient['id']}&_count=20&_include={include}&_revinclude=Provenance:target")
            seen[kind] = seen.get(kind, 0) + len(of)
            for one in of[:2]:
                fhir.get(f"{kind}/{one['id']}")
                fhir.get(f"{kind}/{one['id']}/_history")
        assert fhir.pages(f"Patient/{patient['id']}/$everything?_count=50")
    missing = [kind for kind in served - {"Provenance"} if not seen.get(kind)]
    assert not missing, f"nothing to look at: {missing}"
    return fhir.texts, seen


if __name__ == "__main__":
    texts, _ = everything()
    json.dump(texts, sys.stdout)

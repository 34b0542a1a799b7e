"""What the hub made of it, read over REST. Python's own library only, so that every script here can use it."""

import json
import os
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

API = "http://" + os.environ.get("HUB_API_ADDR", "127.0.0.1:8080") + "/api/v1"
#: A message is visible within two seconds; a machine that does other things too gets more.
PATIENCE = 15


def address(variable, usual):
    """Host and port of a listener."""
    host, port = os.environ.get(variable, usual).rsplit(":", 1)
    return host, int(port)


MLLP = address("HUB_MLLP_ADDR", "127.0.0.1:2575")
ASTM = address("HUB_ASTM_ADDR", "127.0.0.1:2576")


def unique(prefix):
    """A number that no run before has used."""
    return prefix + uuid.uuid4().hex[:10].upper()


class Hub:
    """The administrator at the REST API."""

    def __init__(self):
        self.token = None
        login = {"username": "admin", "password": os.environ["HUB_PASSWORD"]}
        self.token = self.post("/auth/login", login)["access_token"]

    def call(self, method, path, body=None):
        request = urllib.request.Request(API + path, method=method)
        request.add_header("content-type", "application/json")
        if self.token:
            request.add_header("authorization", "Bearer " + self.token)
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=15) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def get(self, path, **query):
        return self.call("GET", path + "?" + urllib.parse.urlencode(query))

    def post(self, path, body):
        return self.call("POST", path, body)

    def wait(self, what, path, count, **query):
        """The items of a list once there are so many, or the end of the script."""
        began = time.monotonic()
        while True:
            items = self.get(path, **query)["items"]
            if len(items) >= count:
                if len(items) > count:
                    raise SystemExit(f"{what}: {len(items)} instead of {count}")
                return items
            if time.monotonic() - began > PATIENCE:
                raise SystemExit(f"{what}: {len(items)} of {count} after {PATIENCE} s")
            time.sleep(0.05)


def place_order(hub, tube):
    """Orders CLIENT-TEST on a tube, for a patient that comes by HL7; the patient's number. What an instrument calls it is an
    [[order]] row of the mapping tables (run.sh adds it)."""
    patient = unique("ORD")
    adt = (
        f"MSH|^~\\&|HIS|HOSP|HUB|HOSP|20260301090000||ADT^A04|{unique('C')}|P|2.5.1\rEVN|A04|20260301090000\r"
        f"PID|1||{patient}^^^HOSP^MR||Rao^Sita||19800517|F\rPV1|1|O\r"
    )
    with socket.create_connection(MLLP, timeout=10) as line:
        line.sendall(b"\x0b" + adt.encode() + b"\x1c\r")
        assert b"MSA|AA|" in line.recv(4096)
    hub.wait("patients", "/patients", 1, identifier=patient)
    order = {"patient_identifier": patient, "code": {"code": "CLIENT-TEST"}, "specimen": {"number": tube}}
    hub.post("/orders", order)
    return patient


def says(results):
    """Results as one line: code, value, unit."""
    said = sorted(f"{r['code']['code']} {r['raw_value']} {r.get('unit') or ''}".strip() for r in results)
    return ", ".join(said)

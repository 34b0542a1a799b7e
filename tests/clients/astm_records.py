"""PyPI astm 0.5.0, its client: a count record by record, and the same in bulk mode, cut into frames of 40 bytes that end in
mid-field. The client opens an empty session at the end of each."""

from astm.client import Client

from look import ASTM, Hub, says, unique


def records(patient, specimen):
    """The emitter asks for the next record when the last one was acknowledged."""

    def emit():
        for record in (
            ["H", [[None], [None, "&"]], None, None, ["XN-350", "1"], None, None, None, None, None, None, "P", "1"],
            ["P", "1", patient, None, None, ["Rao", "Sita"], None, "19800517", "F"],
            ["O", "1", specimen, None, [None, None, None, "WBC"], "R"],
            ["R", "1", [None, None, None, "WBC"], "7.4", "10*3/uL", "4.0-10.0", "N", None, "F", None, None, None, "20260301101500"],
            ["R", "2", [None, None, None, "HGB"], "128", "g/L", "120-160", "N", None, "F", None, None, None, "20260301101500"],
            ["L", "1", "N"],
        ):
            assert (yield record), f"{record[0]} was rejected"

    return emit


def main():
    hub = Hub()
    for how in ({}, {"chunk_size": 40, "bulk_mode": True}):
        patient, specimen = unique("AST"), unique("T")
        client = Client(records(patient, specimen), *ASTM, encoding="utf-8", **how)
        client.run(timeout=0.2)
        results = hub.wait("results", "/results", 2, patient_identifier=patient)
        hub.wait("messages", "/messages", 1, accession=specimen)
        print(f"{how or 'plain'}: {says(results)}")


main()

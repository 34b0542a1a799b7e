"""PyPI astm 0.5.0, both halves of it on one line: its client asks for a tube (host query), its request handler takes the
answer. The order was placed over REST for a patient that came by HL7."""

import time

from astm.asynclib import loop
from astm.client import Client
from astm.server import BaseRecordsDispatcher, RequestHandler

from look import ASTM, Hub, place_order, unique

class Answer(BaseRecordsDispatcher):
    """Keeps what the hub says."""

    def __init__(self):
        super().__init__("utf-8")
        self.records = []

    def wrap(self, record):
        self.records.append(record)
        return record


class Instrument(Client):
    """The library's client, which after its message is the library's server."""

    on_enq = RequestHandler.on_enq
    on_message = RequestHandler.on_message
    handle_message = RequestHandler.handle_message

    def __init__(self, specimen):
        self._is_transfer_state = False
        self._chunks = []
        self.dispatcher = Answer()
        self.asked = False

        def emit():
            for record in (["H", [[None], [None, "&"]], None, None, "XN-350"], ["Q", "1", [None, specimen], None, "ALL"], ["L", "1", "N"]):
                assert (yield record), f"{record[0]} was rejected"

        super().__init__(emit, *ASTM, encoding="utf-8", flow_map=None)

    def _open_session(self):
        if not self.asked:
            self.asked = True
            super()._open_session()

    def on_eot(self):
        self.close()


def ask(specimen):
    """The records of the answer, and the seconds that it took."""
    instrument = Instrument(specimen)
    began = time.monotonic()
    while instrument.connected or not instrument.asked:
        loop(timeout=0.05, count=1)
        assert time.monotonic() - began < 15, "no answer within 15 s"
    return instrument.dispatcher.records, time.monotonic() - began


def main():
    hub, tube = Hub(), unique("T")
    place_order(hub, tube)
    records, seconds = ask(tube)
    order = next(record for record in records if record[0] == "O")
    assert order[2] == tube, order
    assert records[-1][:1] == ["L"] and records[-1][2] == "F", records
    unknown, _ = ask(unique("NOBODY"))
    assert [record[0] for record in unknown] == ["H", "L"] and unknown[-1][2] == "I", unknown
    print(f"asked for {tube}: O.5 {order[4]} in {seconds:.2f} s; an unknown tube: L.3 I")


main()

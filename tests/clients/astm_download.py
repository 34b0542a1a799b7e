"""PyPI astm 0.5.0, its server: an instrument that never asks. The hub dials it (channel `download` of run.sh) and tells it what
is ordered."""

import os
import time

from astm.asynclib import loop
from astm.server import BaseRecordsDispatcher, Server

from look import Hub, place_order, unique

#: Where the hub dials.
HOST, PORT = os.environ.get("DOWNLOAD_ADDR", "127.0.0.1:15200").rsplit(":", 1)
HEARD = []


class Keep(BaseRecordsDispatcher):
    """Keeps the records that the hub sends."""

    def wrap(self, record):
        HEARD.append(record)
        return record


def main():
    hub, tube = Hub(), unique("T")
    server = Server(HOST, int(PORT), dispatcher=Keep, encoding="utf-8")
    patient = place_order(hub, tube)
    began = time.monotonic()
    # orders that wait for others are told too
    while not any(record[0] == "O" and record[2] == tube for record in HEARD) or HEARD[-1][0] != "L":
        loop(timeout=0.05, count=1)
        if time.monotonic() - began > 60:
            raise SystemExit(f"nothing came within 60 s: {HEARD}")
    server.close()
    place = next(n for n, record in enumerate(HEARD) if record[0] == "O" and record[2] == tube)
    order, person = HEARD[place], next(record for record in reversed(HEARD[:place]) if record[0] == "P")
    assert patient in person, person
    print(f"told of {tube} without asking: O.5 {order[4]}")


main()

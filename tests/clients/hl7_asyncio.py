"""PyPI hl7 0.4.5, asyncio: one connection, several messages, a name in Devanagari; the acknowledgement is read in pieces."""

import asyncio

import hl7
from hl7.mllp import open_hl7_connection

from look import MLLP, Hub, says, unique

MESSAGE = (
    "MSH|^~\\&|ANALYZER|LAB|HUB|HOSP|20260301101500||ORU^R01^ORU_R01|{control}|P|2.5.1||||||UNICODE UTF-8\r"
    "PID|1||{patient}^^^HOSP^MR||शर्मा^सीता||19800517|F\r"
    "OBR|1|PL{control}|FI{control}|CHEM^Chemistry^L|||20260301100500||||||||||||||||||F\r"
    "OBX|1|NM|GLU^Glucose^L||{value}|mg/dL|||||F\r"
)


async def main():
    patient, controls = unique("AIO"), [unique("C") for _ in range(3)]
    reader, writer = await asyncio.wait_for(
        open_hl7_connection(*MLLP, encoding="utf-8"), timeout=10
    )
    for n, control in enumerate(controls):
        writer.writemessage(hl7.parse(MESSAGE.format(control=control, patient=patient, value=100 + n)))
        await writer.drain()
        answer = await asyncio.wait_for(reader.readmessage(), timeout=10)
        msa = answer.segment("MSA")
        assert (str(msa[1]), str(msa[2])) == ("AA", control), answer
    writer.close()
    hub = Hub()
    results = hub.wait("results", "/results", 3, patient_identifier=patient)
    person = hub.wait("patients", "/patients", 1, identifier=patient)[0]
    assert "शर्मा" in str(person), person
    print(f"3 AA; {says(results)}; the family name is शर्मा")


asyncio.run(main())

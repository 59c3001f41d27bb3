"""Answers the questions on standard input with the receiver in Python: see TestReceivers_agreeWithEachOther."""

import json
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "docs" / "receivers" / "python"))
import receiver


def answer(q):
    if q["do"] == "gaps":
        gaps = receiver.Gaps()
        for n in q.get("numbers", []):
            gaps.note(n)
        return f"{gaps.last} {gaps}"
    if q["do"] == "seen":
        seen, had = receiver.Seen(3), ""
        for id in q.get("ids", []):
            if id in seen:
                had += id
            seen.add(id)
        return had
    rest = (bytes.fromhex(q.get("body", "")), q.get("secrets", []), q["now"], q["tolerance"])
    try:
        if q["do"] == "signature":
            receiver.verify_signature(q.get("value", ""), *rest)
        else:
            receiver.verify(q["headers"], *rest)
        return "right"
    except receiver.SignatureError as error:
        return str(error)


json.dump([answer(q) for q in json.load(sys.stdin)], sys.stdout)

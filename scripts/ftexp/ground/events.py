"""events.jsonl: what was done when, one line per step. Never read by a stage."""

import datetime
import json

from ftexp.ground import paths


def record_event(what: str, outcome: str) -> None:
    """Append one line: time (UTC, ISO 8601), what, outcome."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with paths.EVENTS_JSONL.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": now, "what": what, "outcome": outcome}, ensure_ascii=False) + "\n")

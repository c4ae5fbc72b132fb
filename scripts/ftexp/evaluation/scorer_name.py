"""The name in logs of the scorer that keeps every answer; apart from it, because reading a log needs no scorer."""

RECORDED = "recorded"

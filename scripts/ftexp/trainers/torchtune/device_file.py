"""Where a training says what it computes on: in its own output folder, from within the process that computes."""

DEVICE_FILE = "device.txt"

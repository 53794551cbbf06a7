"""Jobs made at given times.

`times` reads clocks on walls (time zones, daylight saving); `plan` decides; `controller` makes and
deletes Jobs and writes the status.
"""

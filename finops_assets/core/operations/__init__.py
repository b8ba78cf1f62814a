"""Looking after it all: inspections, incidents, the doctor, repair, verification, heartbeat, evidence.

It may use every other room of core/.
"""

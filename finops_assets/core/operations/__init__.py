"""Operating the platform: inspections, incidents and alerts, the doctor, repair, verification, heartbeat, evidence.

It may use every other room of core/.
"""

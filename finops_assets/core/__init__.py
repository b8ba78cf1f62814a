"""What the numbers mean: plain Python and Arrow, without Dagster, AWS or an engine.

Its modules are what every room stands on; a room may use them and the rooms before it in ROOMS.
"""

ROOMS = ("accounts", "bill", "archive", "analytics", "reports", "delivery", "operations")
"""The way of the data. A test holds that no room imports a later one."""

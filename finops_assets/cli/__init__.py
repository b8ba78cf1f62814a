"""The `finops` command: one module an area, which parses, calls and prints. No rule lives here."""

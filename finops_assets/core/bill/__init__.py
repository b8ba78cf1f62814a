"""The bill: its formats, how each is recognised and read as SQL, which files are it, its control totals.

Nothing here knows what is archived. It may use accounts.
"""

"""The bill: which files it is, its formats, how each is recognised and read as SQL, its control totals.

It does not know what is archived. It may use accounts.
"""

"""The bill: its formats, how each is recognised and read as SQL, the layout of its files, its control totals.

It does not know what is archived. It may use accounts.
"""

"""What people read: figures and words, charts, digest, dashboard, executive snapshot, CSV.

Nothing here sends or stores. It may use accounts, bill, archive and analytics.
"""

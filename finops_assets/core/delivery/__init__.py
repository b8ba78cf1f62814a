"""What is mailed to whom, when and once: the digest of a day, the outbox, receipts.

It may use every room before it: accounts, bill, archive, analytics, reports.
"""

"""The archived day: broken down, checked, published, registered, read back; restatements, settlement, its state.

It has no analysis and no mail. It may use accounts and bill.
"""

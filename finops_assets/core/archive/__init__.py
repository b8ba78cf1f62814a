"""The archived day: broken down, proved, published, registered, read back; restated, settled; what state it is in.

No analysis and no mail. It may use accounts and bill.
"""

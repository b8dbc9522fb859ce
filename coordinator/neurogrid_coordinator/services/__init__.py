"""What the product does, one function per user intent. No HTTP, no SQL text, no JSON.

A service gets its collaborators when it is made and the acting `Account` with every call; that
account is the only tenancy there is. What it refuses is a `services.errors.Refused`.
"""

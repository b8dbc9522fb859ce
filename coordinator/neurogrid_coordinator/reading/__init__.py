"""Processes that read submissions: connections that submit one task after the other are lent to them by the api's process."""

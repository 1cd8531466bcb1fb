"""What all unit tests have in common."""

from hypothesis import settings

# How long an example takes is no property of the code: the machine may be busy.
settings.register_profile("assay", deadline=None)
settings.load_profile("assay")

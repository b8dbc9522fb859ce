"""What holds for all tests.

Hypothesis is patient with machines that are busy with other things: what a property says does not depend on
how long an example takes, so neither its deadline nor its health check of speed may fail a test.

The collector of garbage has a look at everything less often: each of a thousand tests makes an application of
14,000 objects in cycles, and looking took two fifths of the time of such tests.
"""

import gc

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

gc.set_threshold(10_000, 10, 50)

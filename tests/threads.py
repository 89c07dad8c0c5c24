"""How many threads torch has in tests: one, unless `OMP_NUM_THREADS` asks for more."""

import os

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))

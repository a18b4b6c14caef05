"""Turn public purchase and click logs into events of the pipeline: the start of the way, before the first topic.

Three data sets arrive as files that `fetch` has put under `bench/data`; what leaves are events in their JSON form,
in time order. Who buys and clicks is made up from the data set's customer numbers, so no event names a real person.
"""

from bench.datasets.errors import DatasetError
from bench.datasets.fetching import DATA, NAMES, fetch
from bench.datasets.moments import Event
from bench.datasets.replay import events, mixed, synthetic

__all__ = ["DATA", "NAMES", "DatasetError", "Event", "events", "fetch", "mixed", "synthetic"]

"""Memory maps of a store's shards."""

import resource
from collections import OrderedDict

from essential.features.plan import Shard
from essential.features.store import Features, FeatureStore

_MOST_MAPS = 16_384


class ShardMaps:
    """Opens shards as memory maps. Each shard's seal is checked at its first use in this process."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._sealed: set[str] = set()
        self._open: OrderedDict[str, Features] = OrderedDict()
        # Every map keeps its file open; leave most of the process's files to others.
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._limit = _MOST_MAPS if allowed == resource.RLIM_INFINITY else min(_MOST_MAPS, max(8, allowed // 4))

    def open(self, shard: Shard) -> Features:
        """Return a shard's features.

        Raises:
            StoreError: the shard is damaged.
        """
        if shard.name in self._open:
            self._open.move_to_end(shard.name)
            return self._open[shard.name]
        if shard.name not in self._sealed:
            self._store.read(shard)
            self._sealed.add(shard.name)
        if len(self._open) >= self._limit:
            self._open.popitem(last=False)
        self._open[shard.name] = self._store.map(shard)
        return self._open[shard.name]

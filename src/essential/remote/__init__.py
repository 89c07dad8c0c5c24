"""Videos that are no plain files of this machine: in buckets, behind HTTP, in tar shards."""

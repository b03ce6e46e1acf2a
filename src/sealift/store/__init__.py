"""The cache on disk: blobs under their digest, packs and other results under a key; safe for many processes at once.

    ROOT/
      CACHEDIR.TAG             tells backup programs to leave the folder out
      blobs/sha256/HEX         bytes of a registry or archive, whole and verified
      packs/KEY images/KEY …   results, made once
      records/KIND/KEY.json    small values
      digests/KIND/KEY         what `verify` compares a result with, where its maker knew its digest
      parts/NAME.HOST.TOKEN.part   arriving or in the making; locked by the process that writes it
      leases/HOST.TOKEN        what a running process uses; locked by that process
      locks/…                  one file a key that is being made, and `store` for the short moments of prune and lookup

Nothing under a final name is ever half written. Locks make sure that work is done once; that results are right does
not depend on them: names are unique, renames atomic, blobs verified. So a file system without working locks costs time
and no more.
"""

from sealift.store.accounts import Damaged, Pruned, Usage
from sealift.store.arrival import Arrival
from sealift.store.blob import Blob
from sealift.store.place import open_store, parse_size
from sealift.store.store import Store

__all__ = ["Arrival", "Blob", "Damaged", "Pruned", "Store", "Usage", "open_store", "parse_size"]

"""All mutations."""
import list_edges
import list_locks
import list_monitor
import list_records
import list_rollout
import list_words
from weave import Mutation

ALL: list[Mutation] = [mutation
                       for part in (list_locks, list_records, list_rollout, list_monitor, list_edges,
                                    list_words)
                       for mutation in part.MUTATIONS]

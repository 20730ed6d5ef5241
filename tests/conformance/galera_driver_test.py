"""The tests of the MySQL driver on a Galera cluster of three."""
import unittest

import conformance

# By name, as unittest runs them; the last kills a node.
conformance.on_server(globals(), 3, "store/sql", [
    "mysql_commit_test", "mysql_galera_test", "mysql_migration_test", "mysql_node_loss_test"])

if __name__ == "__main__":
    unittest.main()

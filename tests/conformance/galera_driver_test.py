"""The tests of the MySQL driver on a Galera cluster of three."""
import unittest

import conformance

_server = None


def setUpModule():  # noqa: N802 (unittest's name)
    global _server
    _server = conformance.Server(nodes=3)


def tearDownModule():  # noqa: N802
    if _server is not None:
        _server.stop()


# By name, as unittest runs them; the last kills a node.
globals().update(conformance.suites(
    __name__, "Galera", "store/sql",
    ["mysql_commit_test", "mysql_galera_test", "mysql_migration_test", "mysql_node_loss_test"],
    lambda name: _server.environment(name)))

if __name__ == "__main__":
    unittest.main()

"""The conformance suite on one MariaDB."""
import unittest

import conformance

_server = None


def setUpModule():  # noqa: N802 (unittest's name)
    global _server
    _server = conformance.Server(nodes=1)


def tearDownModule():  # noqa: N802
    if _server is not None:
        _server.stop()


globals().update(conformance.suites(__name__, "MariaDB", "store", conformance.STORE_TESTS,
                                    lambda name: _server.environment(name)))

if __name__ == "__main__":
    unittest.main()

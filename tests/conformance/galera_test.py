"""The conformance suite on a Galera cluster of three: calls are spread over its nodes."""
import unittest

import conformance

conformance.on_server(globals(), 3, "store", conformance.STORE_TESTS)

if __name__ == "__main__":
    unittest.main()

"""The conformance suite on one MariaDB."""
import unittest

import conformance

conformance.on_server(globals(), 1, "store", conformance.STORE_TESTS)

if __name__ == "__main__":
    unittest.main()

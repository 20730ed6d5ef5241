"""Whom a Monitor tells what in dialect v1, on one MariaDB: hours of its clock, minutes of ours."""
import unittest

import conformance

conformance.on_server(globals(), 1, "monitor", ["v1_words_test"], limit=1200)

if __name__ == "__main__":
    unittest.main()

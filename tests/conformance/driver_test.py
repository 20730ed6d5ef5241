"""The tests of the MySQL driver on MariaDB: one server as usual, and two that speak TLS, as
themselves and as somebody else."""
import pathlib
import tempfile
import unittest

import certificates
import conformance

_folder = _server = None
_tls = []


def setUpModule():  # noqa: N802 (unittest's name)
    global _folder, _server
    _folder = tempfile.TemporaryDirectory()
    here = pathlib.Path(_folder.name)
    certificates.authority(here, "ca")
    certificates.authority(here, "unknown-ca")
    certificates.certified(here, "ca", "server", "IP:127.0.0.1,DNS:localhost")
    certificates.certified(here, "ca", "other", "DNS:db.example.com")
    certificates.certified(here, "ca", "client")
    _server = conformance.Server(nodes=1)
    for name in ("server", "other"):
        _tls.append(conformance.Server(nodes=1, options=[
            f"--ssl-ca={here / 'ca.pem'}", f"--ssl-cert={here / (name + '.pem')}",
            f"--ssl-key={here / (name + '.key')}"]))


def tearDownModule():  # noqa: N802
    for server in [_server, *_tls]:
        if server is not None:
            server.stop()
    if _folder is not None:
        _folder.cleanup()


def environment(name):
    for server in _tls:
        server.environment(name)  # the same database on each
    ports = [str(server.servers.node.port) for server in _tls]
    return {**_server.environment(name), "JETMON_TEST_TLS": _folder.name,
            "JETMON_TEST_TLS_PORT": ports[0], "JETMON_TEST_TLS_OTHER_PORT": ports[1]}


globals().update(conformance.suites(
    __name__, "MariaDB", "store/sql",
    ["mysql_commit_test", "mysql_limits_test", "mysql_migration_test", "mysql_pool_test",
     "mysql_result_test", "mysql_tls_test"], environment))

if __name__ == "__main__":
    unittest.main()

"""What stands above the store, on servers: the tests of rollout, access, discovery and ownership that
use a database of their own, on one MariaDB; those that race, on a Galera cluster of three too."""
import unittest

import conformance

ON_MARIADB = {
    "controlplane/access": ["audit_test", "authenticator_test", "idempotency_test"],
    "controlplane/discovery": ["registrar_test"],
    "controlplane/rollout": [
        "canaries_test",
        "cohort_test",
        "compare_test",
        "decisions_test",
        "evidence_test",
        "gates_test",
        "job_life_test",
        "job_runner_test",
        "observer_test",
        "mute_test",
        "overrides_test",
        "parts_test",
        "planned_test",
        "policy_jobs_test",
        "policy_test",
        "preflight_test",
        "race_test",
        "range_jobs_test",
        "sampler_test",
        "seed_changes_test",
        "seed_test",
        "service_test",
        "smoke_test",
        "timeline_test",
    ],
    "monitor": ["notifier_test", "ownership_test", "parts_test", "site_policy_test"],
}
ON_GALERA = {
    "controlplane/access": ["idempotency_test"],
    "controlplane/rollout": ["race_test", "seed_changes_test", "seed_test"],
}
_servers: dict[str, conformance.Server] = {}


def setUpModule():  # noqa: N802 (unittest's name)
    _servers["MariaDB"] = conformance.Server(nodes=1)
    _servers["Galera"] = conformance.Server(nodes=3)


def tearDownModule():  # noqa: N802
    for server in _servers.values():
        server.stop()


for engine, folders in (("MariaDB", ON_MARIADB), ("Galera", ON_GALERA)):
    for folder, names in folders.items():
        made = conformance.suites(__name__, engine, folder, names,
                                  lambda name, engine=engine: _servers[engine].environment(name))
        for name, suite in made.items():
            suite.__name__ = suite.__qualname__ = f"{engine}_{folder.replace('/', '_')}_{name}"
            globals()[suite.__name__] = suite

if __name__ == "__main__":
    unittest.main()

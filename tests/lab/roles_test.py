"""What the database users of docs/database/grants.sql may not do. That they may do what they need is
shown by the stories on servers, which run as them."""
from __future__ import annotations

import unittest

import pymysql

from lab_case import LabCase
from launcher.database import connect

DENIED = (1044, 1142, 1143)  # the database, the table, the column

# As whatever role but the one that may.
TABLES = ["CREATE TABLE jetmon_more (n INT)", "CREATE TABLE more (n INT)",
          "ALTER TABLE jetmon_events ADD COLUMN more INT", "DROP TABLE jetmon_events",
          "CREATE INDEX more ON jetmon_events (severity)", "TRUNCATE TABLE jetmon_events"]
LEGACY = ["UPDATE jetpack_monitor_sites SET monitor_url = 'http://x/'",
          "UPDATE jetpack_monitor_sites SET monitor_active = 0",
          "UPDATE jetpack_monitor_sites SET bucket_no = 1",
          "UPDATE jetpack_monitor_sites SET site_status = 1, blog_id = 1",
          "INSERT INTO jetpack_monitor_sites (blog_id, bucket_no, monitor_url) VALUES (1, 1, 'x')",
          "DELETE FROM jetpack_monitor_sites", "DROP TABLE jetpack_monitor_sites",
          "ALTER TABLE jetpack_monitor_sites ADD COLUMN more INT",
          "CREATE INDEX more ON jetpack_monitor_sites (site_status)"]
ELSEWHERE = ["SELECT * FROM mysql.user", "CREATE DATABASE more", "SELECT * FROM lab.probe",
             "GRANT SELECT ON jetmon.jetmon_events TO jetmon_v1@127.0.0.1"]
# What only the control plane, or only `jetmon2 keys`, changes.
ROLLOUT = ["DELETE FROM jetmon_rollout_sessions", "UPDATE jetmon_rollout_sessions SET state = 'x'",
           "INSERT INTO jetmon_rollout_checkpoints (ordinal) VALUES (1)",
           "SELECT * FROM jetmon_rollout_confirmation_tokens",
           "UPDATE jetmon_rollout_confirmation_tokens SET consumed_at_ms = 0",
           "UPDATE jetmon_rollout_jobs SET state = 'completed'",
           "INSERT INTO jetmon_rollout_range_locks (epoch) VALUES (1)",
           "DELETE FROM jetmon_rollout_range_locks",
           "UPDATE jetmon_rollout_range_locks SET part_job_id = 'x'",
           "UPDATE jetmon_rollout_range_parts SET state = 'released'",
           "UPDATE jetmon_rollout_policy_stages SET state = 'applied'",
           "SELECT * FROM jetmon_rollout_comparison_results",
           "UPDATE jetmon_rollout_range_locks SET owner_host = 'x'",
           "UPDATE jetmon_rollout_range_locks SET bucket_max = 511",
           "UPDATE jetmon_rollout_bucket_locks SET pool = 'api'",
           "UPDATE jetmon_rollout_bucket_locks SET owner_host = 'x'",
           "UPDATE jetmon_rollout_bucket_locks SET epoch = 1",
           "UPDATE jetmon_hosts SET generation = 1", "UPDATE jetmon_counters SET value = 0",
           "SELECT * FROM jetmon_idempotency", "DELETE FROM jetmon_audit_log",
           "UPDATE jetmon_veriflier_vantages SET trust = 'trusted'",
           "UPDATE jetmon_endpoint_check_config SET profile = 'full'"]
KEYS = ["INSERT INTO jetmon_api_keys (key_id) VALUES ('x')",
        "UPDATE jetmon_api_keys SET scope = 'admin'", "DELETE FROM jetmon_api_keys"]
SCHEMA = ["UPDATE jetmon_schema_migrations SET number = 9", "DELETE FROM jetmon_schema_migrations",
          "UPDATE jetmon_schema_lock SET holder = ''"]
HISTORY = ["DELETE FROM jetmon_events", "UPDATE jetmon_event_transitions SET at_ms = 0",
           "DELETE FROM jetmon_event_transitions", "DELETE FROM jetmon_notifications",
           "UPDATE jetmon_audit_log SET outcome = 'ok'",
           "UPDATE jetmon_rollout_range_tenures SET owner_instance = 'x'",
           "DELETE FROM jetmon_rollout_range_tenures"]
# A take-over's, or a grant's.
TENURE = ("INSERT INTO jetmon_rollout_range_tenures (epoch, revision, owner_host, owner_instance, "
          "from_ms) VALUES (1, 1, 'monitor-a', 'ins_1', 1)")


class RolesTest(LabCase):
    DATABASE = "mariadb"
    SITES = 8

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.lab.make_database()
        cls.lab.make_keys()

    def refuses(self, role: str, statements: list[str]) -> None:
        access = self.lab.database.access(role)
        connection = connect(access.url, access.password)
        self.addCleanup(connection.close)
        for statement in statements:
            with self.subTest(role=role, statement=statement), connection.cursor() as cursor:
                with self.assertRaises(pymysql.Error) as caught:
                    cursor.execute(statement)
                self.assertIn(caught.exception.args[0], DENIED, caught.exception)

    def allows(self, role: str, statements: list[str]) -> None:
        access = self.lab.database.access(role)
        connection = connect(access.url, access.password)
        self.addCleanup(connection.close)
        for statement in statements:
            with self.subTest(role=role, statement=statement), connection.cursor() as cursor:
                connection.begin()
                cursor.execute(statement)
                connection.rollback()

    def test_monitor(self) -> None:
        self.refuses("monitor", TABLES + LEGACY + ELSEWHERE + ROLLOUT + KEYS + SCHEMA + HISTORY
                     + ["SELECT * FROM jetmon_api_keys", "SELECT * FROM jetmon_audit_log"])

    def test_controlplane(self) -> None:
        self.refuses("controlplane", TABLES + LEGACY + ELSEWHERE + KEYS + SCHEMA + HISTORY + [
            "DELETE FROM jetmon_rollout_sessions", "DELETE FROM jetmon_rollout_range_locks",
            "DELETE FROM jetmon_rollout_range_parts", "DELETE FROM jetmon_rollout_policy_stages",
            "UPDATE jetmon_rollout_comparison_results SET class = 'same'",
            "UPDATE jetmon_rollout_checkpoints SET kind = 'x'",
            "UPDATE jetmon_bucket_activity SET late = 0",
            "UPDATE jetmon_notifications SET url = 'x'",
            "DELETE FROM jetmon_notifications"])

    def test_migrate(self) -> None:
        """Whoever may change our tables may not read or change what is in them, nor v1's."""
        self.refuses("migrate", LEGACY + ELSEWHERE + [
            "CREATE TABLE more (n INT)", "DROP TABLE jetmon_events",
            "SELECT * FROM jetmon_rollout_sessions", "DELETE FROM jetmon_rollout_sessions",
            "UPDATE jetpack_monitor_sites SET site_status = 2", "DELETE FROM jetmon_api_keys",
            "UPDATE jetmon_events SET severity = 0",
            "SELECT * FROM jetmon_rollout_confirmation_tokens"])

    def test_what_is_refused_is_what_is_asked_for(self) -> None:
        """The same tables and columns can be changed by who may: the refusals are no typing errors."""
        self.allows("", [s for s in LEGACY[:4] + ROLLOUT + KEYS[1:2] + HISTORY
                         if s.startswith(("UPDATE", "SELECT"))])
        self.allows("monitor", ["UPDATE jetpack_monitor_sites SET site_status = 1, "
                                "last_status_change = NULL WHERE bucket_no = 3", TENURE])
        self.allows("controlplane", [
            TENURE, "UPDATE jetmon_notifications SET state = 'delivered', attempts = 1, "
                    "sent_at_ms = 1, delivered_at_ms = 1"])

    def test_commands_of_the_migrate_role(self) -> None:
        for words in (["migrate"], ["migrate", "status"], ["validate-config"], ["keys", "list"]):
            self.lab.operator_tool(*words)


if __name__ == "__main__":
    unittest.main()

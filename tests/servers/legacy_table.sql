-- v1's table as v1 made it; on a server no statement of v2's makes or alters it.
CREATE TABLE jetpack_monitor_sites (
  jetpack_monitor_site_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  blog_id BIGINT UNSIGNED NOT NULL,
  bucket_no SMALLINT UNSIGNED NOT NULL,
  monitor_url VARCHAR(300) NOT NULL,
  monitor_active TINYINT NOT NULL DEFAULT 1,
  site_status TINYINT NOT NULL DEFAULT 1,
  last_status_change TIMESTAMP NULL DEFAULT NULL,
  check_interval TINYINT NOT NULL DEFAULT 5,
  KEY blog_id_monitor_url (blog_id, monitor_url),
  KEY bucket_no_monitor_active_check_interval (bucket_no, monitor_active, check_interval)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

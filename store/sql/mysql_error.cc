#include "store/sql/mysql_error.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "store/sql/connection.h"

namespace jetmon::sql {
namespace {

absl::Status Lost(std::string_view what) {
  absl::Status s = absl::UnavailableError(absl::string_view(what.data(), what.size()));
  s.SetPayload(kLostKey, absl::Cord("1"));
  return s;
}

constexpr int kServerLost = 2013, kTlsError = 2026;

// A connection that ended during the handshake says nothing about certificates.
bool BrokeOff(std::string_view text) {
  for (const char* sign : {"unexpected eof", "SYSCALL", "Connection reset", "Broken pipe"}) {
    if (text.find(sign) != text.npos) return true;
  }
  return false;
}

absl::Status StatusOf(int code) {
  switch (code) {
    case 1022:  // ER_DUP_KEY
    case 1062:  // ER_DUP_ENTRY
    case 1586:  // ER_DUP_ENTRY_WITH_KEY_NAME
      return absl::AlreadyExistsError("a row with this key exists");
    case 1050:  // ER_TABLE_EXISTS_ERROR
    case 1060:  // ER_DUP_FIELDNAME
    case 1061:  // ER_DUP_KEYNAME
      return absl::AlreadyExistsError("it is part of the schema already");
    case 1020:  // ER_CHECKREAD: changed by somebody else since the snapshot
    case 1205:  // ER_LOCK_WAIT_TIMEOUT
    case 1213:  // ER_LOCK_DEADLOCK, and what Galera's certification refused
    case 1412:  // ER_TABLE_DEF_CHANGED: by a migration, since the snapshot
    case 1615:  // ER_NEED_REPREPARE: the same, since the statement was prepared
    case 1637:  // ER_TOO_MANY_CONCURRENT_TRXS
      return absl::AbortedError("the database is busy: somebody else changed the same rows");
    case 1048:  // ER_BAD_NULL_ERROR
    case 1136:  // ER_WRONG_VALUE_COUNT_ON_ROW
    case 1264:  // ER_WARN_DATA_OUT_OF_RANGE
    case 1265:  // WARN_DATA_TRUNCATED
    case 1292:  // ER_TRUNCATED_WRONG_VALUE
    case 1364:  // ER_NO_DEFAULT_FOR_FIELD
    case 1366:  // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
    case 1406:  // ER_DATA_TOO_LONG
    case 1451:  // ER_ROW_IS_REFERENCED_2
    case 1452:  // ER_NO_REFERENCED_ROW_2
    case 3819:  // ER_CHECK_CONSTRAINT_VIOLATED (MySQL)
    case 4025:  // ER_CONSTRAINT_FAILED (MariaDB)
      return absl::FailedPreconditionError("the database refused a value");
    case 1044:  // ER_DBACCESS_DENIED_ERROR
    case 1142:  // ER_TABLEACCESS_DENIED_ERROR
    case 1143:  // ER_COLUMNACCESS_DENIED_ERROR
    case 1227:  // ER_SPECIFIC_ACCESS_DENIED_ERROR
    case 1370:  // ER_PROCACCESS_DENIED_ERROR
      return absl::PermissionDeniedError(
          "the database user lacks a right for this; docs/database.md lists what each program "
          "needs");
    case 1045:  // ER_ACCESS_DENIED_ERROR
    case 1698:  // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
    case 1129:  // ER_HOST_IS_BLOCKED
    case 1130:  // ER_HOST_NOT_PRIVILEGED
    case 1820:  // ER_MUST_CHANGE_PASSWORD
    case 1862:  // ER_MUST_CHANGE_PASSWORD_LOGIN
    case 3118:  // ER_ACCOUNT_HAS_BEEN_LOCKED (MySQL)
    case 4151:  // ER_ACCOUNT_HAS_BEEN_LOCKED (MariaDB)
      return absl::UnavailableError(
          "the server does not let this user in; look at the user in the URL, at "
          "--database_password_file or JETMON_DATABASE_PASSWORD, and at the hosts that the user "
          "may come from");
    case 1251:  // ER_NOT_SUPPORTED_AUTH_MODE
    case 2059:  // CR_AUTH_PLUGIN_CANNOT_LOAD
    case 2061:  // CR_AUTH_PLUGIN_ERR
      return absl::UnavailableError(
          "the server lets this user in by a method that this client does not know; give the user "
          "a password of mysql_native_password or ed25519");
    case 3159:  // ER_SECURE_TRANSPORT_REQUIRED
      return absl::UnavailableError("the server takes only TLS; say --database_tls=verify");
    case 1049:  // ER_BAD_DB_ERROR
      return absl::UnavailableError("the server has no database of this name; CREATE DATABASE it");
    case 1792:  // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
      return absl::InternalError("a read transaction was asked to write");
    case 1290:  // ER_OPTION_PREVENTS_STATEMENT: --read-only
    case 1836:  // ER_READ_ONLY_MODE
      return Lost("the server is read-only; the URL must lead to one that may be written");
    case 1047:  // ER_UNKNOWN_COM_ERROR: Galera's node is not part of a quorum
      return Lost("the server is not part of its cluster's majority now");
    case 1317:  // ER_QUERY_INTERRUPTED
      return Lost("somebody killed the query");
    case 1969:  // ER_STATEMENT_TIMEOUT (MariaDB)
    case 3024:  // ER_QUERY_TIMEOUT (MySQL)
      return absl::UnavailableError("a query took longer than it may");
    case 1040:  // ER_CON_COUNT_ERROR
    case 1203:  // ER_TOO_MANY_USER_CONNECTIONS
    case 1226:  // ER_USER_LIMIT_REACHED
      return Lost("the server has no connection left to give");
    case 1180:  // ER_ERROR_DURING_COMMIT
      return Lost("the server could not finish the transaction");
    case 1053:  // ER_SERVER_SHUTDOWN
    case 1077:  // ER_NORMAL_SHUTDOWN
    case 1079:  // ER_SHUTDOWN_COMPLETE
    case 1152:  // ER_ABORTING_CONNECTION
    case 1158:  // ER_NET_READ_ERROR
    case 1159:  // ER_NET_READ_INTERRUPTED
    case 1160:  // ER_NET_ERROR_ON_WRITE
    case 1161:  // ER_NET_WRITE_INTERRUPTED
    case 1927:  // ER_CONNECTION_KILLED
      return Lost("the connection to the database was lost");
    case 1461:  // ER_MAX_PREPARED_STMT_COUNT_REACHED
      return Lost("the server keeps no more prepared statements; raise max_prepared_stmt_count");
    case 1021:  // ER_DISK_FULL
    case 1041:  // ER_OUT_OF_RESOURCES
    case 1114:  // ER_RECORD_FILE_FULL
      return absl::UnavailableError("the server has no room left on its disk or in its memory");
    case 1153:  // ER_NET_PACKET_TOO_LARGE
    case 2020:  // CR_NET_PACKET_TOO_LARGE
      return absl::InternalError(
          "a statement or row is larger than the server's or the client's "
          "max_allowed_packet");
    case 1243:  // ER_UNKNOWN_STMT_HANDLER
      return Lost("the server forgot a prepared statement");
    case 2002:  // CR_CONNECTION_ERROR
    case 2003:  // CR_CONN_HOST_ERROR
    case 2005:  // CR_UNKNOWN_HOST
      return Lost("the server can't be reached; is it up, and are host and port right?");
    case kTlsError:  // CR_SSL_CONNECTION_ERROR
      return absl::UnavailableError(
          "no verified TLS with the server; look at --database_tls_ca and the server's "
          "certificate");
    default:
      // 2000 to 2999: the client library. What it can't read, no later statement can either.
      if (code >= 2000 && code < 3000) return Lost("the connection to the database was lost");
      return absl::InternalError(absl::StrCat("database error ", code));
  }
}

}  // namespace

absl::Status MysqlStatus(int code, std::string_view text) {
  absl::Status s = StatusOf(code == kTlsError && BrokeOff(text) ? kServerLost : code);
  s.SetPayload(kEngineTextKey,
               absl::Cord(absl::StrCat(code, ": ", absl::string_view(text.data(), text.size()))));
  return s;
}

bool LeavesDoubt(const absl::Status& s) {
  if (!absl::IsInternal(s)) return absl::IsUnavailable(s);
  const std::string text = EngineText(s);
  int code = 0;
  const bool numbered = absl::SimpleAtoi(absl::string_view(text).substr(0, text.find(':')), &code);
  return !numbered || code < 1000 || (code >= 2000 && code < 3000) || code == 1153;
}

}  // namespace jetmon::sql

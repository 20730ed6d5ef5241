#ifndef JETMON_DAEMON_GRPC_LOG_H_
#define JETMON_DAEMON_GRPC_LOG_H_

namespace jetmon {

// gRPC's own errors go to our log, one line each. None while a daemon starts: what is wrong then is
// said by the one line that it prints. LetGrpcLog(true) once it runs. Thread-safe.
void RouteGrpcLog();
void LetGrpcLog(bool on);

}  // namespace jetmon

#endif  // JETMON_DAEMON_GRPC_LOG_H_

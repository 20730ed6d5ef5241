#include "daemon/grpc_log.h"

#include <grpc/support/log.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "daemon/log.h"

namespace jetmon {
namespace {

std::atomic<bool> let{false};

void Take(gpr_log_func_args* args) {
  if (args->severity != GPR_LOG_SEVERITY_ERROR || !let) return;
  LogWarning(absl::StrCat("gRPC: ", args->message));
}

}  // namespace

void RouteGrpcLog() { gpr_set_log_function(Take); }
void LetGrpcLog(bool on) { let = on; }

}  // namespace jetmon

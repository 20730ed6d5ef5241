#include "probe/flags.h"

#include <gflags/gflags.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "probe/openssl_client.h"
#include "probe/sending.h"

DEFINE_string(source_address, "",
              "IP address that checks are sent from; default: the system's choice");
DEFINE_string(target_safety, "public_only",
              "public_only: checks go to public addresses only; off in a lab");
DEFINE_string(allow_cidr, "",
              "blocks of addresses that a lab opens besides, such as 127.0.0.0/8,10.0.0.0/8");
DEFINE_string(ca_file, "",
              "PEM file of the CAs that sites' certificates are judged by; default: the system's");
DEFINE_string(resolvers, "",
              "DNS servers to ask, such as 192.0.2.53,[2001:db8::53]:5353; default: those of "
              "/etc/resolv.conf");
DEFINE_int32(tls_sessions, 200'000,
             "TLS sessions kept, so that checks of as many https sites resume theirs; about 650 "
             "bytes each, 0 to 10000000");

DEFINE_string(longest_check, "",
              "how long one check may take, 1s to 20s; left out: 10s, of a Veriflier 20s. Not less "
              "at a Veriflier, nor at a control plane, than at any Monitor");

namespace jetmon::probe {

absl::StatusOr<Engine::Options> EngineOptionsFromFlags() {
  auto options = EngineOptionsOf({FLAGS_source_address, FLAGS_target_safety, FLAGS_allow_cidr,
                                  FLAGS_ca_file, FLAGS_resolvers});
  if (!options.ok()) return options.status();
  if (FLAGS_tls_sessions < 0 || FLAGS_tls_sessions > 10'000'000) {
    return absl::InvalidArgumentError("--tls_sessions takes 0 to 10000000");
  }
  auto tls = OpenSslClient::Create(
      {.ca_file = FLAGS_ca_file, .max_sessions = static_cast<size_t>(FLAGS_tls_sessions)});
  if (!tls.ok()) return tls.status();
  options->tls = *std::move(tls);
  return options;
}

absl::StatusOr<DeadlineBudget> BudgetFromFlags(DeadlineBudget::Duration if_left_out) {
  absl::Duration asked = absl::FromChrono(if_left_out);
  const bool read = FLAGS_longest_check.empty() || absl::ParseDuration(FLAGS_longest_check, &asked);
  const auto budget = DeadlineBudget::Of(absl::ToChronoMilliseconds(asked));
  if (!read || !budget.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--longest_check takes a duration of 1s to 20s, such as 10s, not ", FLAGS_longest_check));
  }
  return *budget;
}

}  // namespace jetmon::probe

#ifndef JETMON_PROBE_TARGET_SAFETY_H_
#define JETMON_PROBE_TARGET_SAFETY_H_

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "probe/ip_address.h"
#include "probe/url.h"

namespace jetmon::probe {

// Decides which targets may be sent a packet at all: public web sites, and whatever the operator of
// a lab has opened. Judged before the first packet and again on every redirect hop; a refusal is
// never downtime. A value; thread-safe.
//
// public_only refuses: schemes other than http and https, userinfo, `localhost`, `.localhost`,
// `.local` and `.internal` names (trailing dots don't help), IPv4 written in octal, hex, short or
// as one integer, and every address that is not globally routable unicast, IPv4-mapped, NAT64, 6to4
// and Teredo forms and the metadata addresses of clouds included. An allowed block opens addresses,
// never a scheme, a name or a way of writing.
class TargetSafety {
 public:
  struct Options {
    bool public_only =
        true;  // false: judges no address and no name; schemes and userinfo still are
    std::vector<Cidr> allow;
  };

  TargetSafety() = default;  // public_only, nothing allowed
  explicit TargetSafety(Options options) : options_(std::move(options)) {}

  // From the flags --target_safety (`public_only` or `off`) and --allow_cidr
  // ("127.0.0.0/8,10.0.0.0/8"). InvalidArgument names the flag that is wrong.
  static absl::StatusOr<TargetSafety> FromFlags(std::string_view target_safety,
                                                std::string_view allow_cidr);

  // OK, or PermissionDenied with the reason. Judges the literal address of the URL, too; says
  // nothing about the addresses that a name resolves to.
  absl::Status JudgeUrl(const Url& url) const;
  // OK, or PermissionDenied with the reason. To be asked of exactly the address to connect to.
  absl::Status JudgeAddress(const IpAddress& address) const;

 private:
  Options options_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TARGET_SAFETY_H_
